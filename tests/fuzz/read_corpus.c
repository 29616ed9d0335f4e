/* The main() of a fuzz target without libFuzzer: gives it each file of the folder that is named. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak)); /* not every target has one */

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* A heap block of exactly the file's size, so that ASan sees a byte too many. */
static int read_file(int dir_fd, const char *name)
{
    cleanup_(closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    cleanup_(freep) uint8_t *data = NULL;
    struct stat st;
    size_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    n = (size_t)st.st_size;
    data = malloc(n ? n : 1);
    if (!data || read(fd, data, n) != st.st_size)
        return -1;
    return LLVMFuzzerTestOneInput(data, n);
}

int main(int argc, char **argv)
{
    cleanup_(closep) int dir_fd = argc == 2 ? open(argv[1], O_DIRECTORY | O_RDONLY | O_CLOEXEC) : -1;
    struct dirent **entries = NULL;
    int n = dir_fd < 0 ? -1 : scandirat(dir_fd, ".", &entries, is_file, alphasort);
    int failed = n <= 0; /* an empty corpus tests nothing */

    if (LLVMFuzzerInitialize && LLVMFuzzerInitialize(&argc, &argv) != 0)
        return 1;
    for (int i = 0; i < n; i++) {
        if (read_file(dir_fd, entries[i]->d_name) != 0) {
            (void)fprintf(stderr, "%s: cannot read it\n", entries[i]->d_name); /* nobody is told of a failure here */
            failed = 1;
        }
        free(entries[i]);
    }
    free(entries);
    return failed;
}
