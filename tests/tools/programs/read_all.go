// Hashes of all files of a directory, by a goroutine each, under the signals of the runtime (SIGURG, to preempt) and of
// its profiler (SIGPROF): read_all DIRECTORY
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
)

func main() {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		log.Fatal(err)
	}
	stop := make(chan struct{})
	go func() { // the collector stops all goroutines, again and again
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	entries, err := os.ReadDir(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	lines := make([]string, len(entries))
	var all sync.WaitGroup
	for at, entry := range entries {
		all.Add(1)
		go func(at int, name string) {
			defer all.Done()
			content, err := os.ReadFile(filepath.Join(os.Args[1], name))
			if err != nil {
				log.Fatal(err)
			}
			lines[at] = fmt.Sprintf("%x  %s", sha256.Sum256(content), name)
		}(at, entry.Name())
	}
	all.Wait()
	close(stop)
	pprof.StopCPUProfile()
	fmt.Println(strings.Join(lines, "\n"))
}
