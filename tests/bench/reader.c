/*
 * reader -- reads files as fast as they come and prints the time; afterwards, untimed, compares every byte.
 *
 *     reader whole BLOCK FILE REFERENCE    seconds from open to close, reads of BLOCK bytes
 *     reader forget BLOCK FILE REFERENCE   the same after the kernel has dropped the pages of FILE
 *     reader first BLOCK DIR REFERENCES    for each file of the directory REFERENCES, that of DIR with this name:
 * seconds from before open to after the first BLOCK bytes; one a line
 *
 * Exits with 1 when a byte is wrong or a call fails. `first` reads each file once before it measures.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { COMPARE_BYTES = 1024 * 1024, TURNS = 4 };

static void fail(const char *what)
{
    fprintf(stderr, "reader: %s: %s\n", what, errno ? strerror(errno) : "not the same bytes");
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        fail(path);
    return fd;
}

/* Fewer than `n` only at the end. */
static size_t read_full(int fd, const char *path, char *to, size_t n)
{
    size_t got = 0;
    ssize_t r = 1;

    while (got < n && r > 0) {
        r = read(fd, to + got, n - got);
        if (r < 0)
            fail(path);
        got += (size_t)r;
    }
    return got;
}

static void compare(const char *path, const char *reference)
{
    static char a[COMPARE_BYTES], b[COMPARE_BYTES];
    int fd = open_file(path);
    int reference_fd = open_file(reference);
    size_t n;

    do {
        n = read_full(fd, path, a, sizeof a);
        errno = 0;
        if (read_full(reference_fd, reference, b, sizeof b) != n || memcmp(a, b, n) != 0)
            fail(path);
    } while (n > 0);
    close(fd);
    close(reference_fd);
}

static void forget(const char *path)
{
    int fd = open_file(path);

    errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (errno)
        fail(path);
    close(fd);
}

static void whole(char *block, size_t n, const char *path)
{
    double started = now();
    int fd = open_file(path);

    while (read_full(fd, path, block, n) == n)
        ;
    close(fd);
    printf("%.9f\n", now() - started);
}

static double first_once(char *block, size_t n, const char *path)
{
    double started = now();
    int fd = open_file(path);
    double seconds;

    if (read(fd, block, n) <= 0)
        fail(path);
    seconds = now() - started;
    close(fd);
    return seconds;
}

/* Turn 0 warms; of the later ones every single time is printed. */
static void first(char *block, size_t n, const char *directory, const char *references)
{
    char path[PATH_MAX], reference[PATH_MAX];

    for (int turn = 0; turn < TURNS; turn++) {
        DIR *dir = opendir(references);
        struct dirent *one;

        if (!dir)
            fail(references);
        while ((one = readdir(dir))) {
            double seconds;

            if (one->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", directory, one->d_name);
            snprintf(reference, sizeof reference, "%s/%s", references, one->d_name);
            if (turn == 0)
                compare(path, reference);
            seconds = first_once(block, n, path);
            if (turn > 0)
                printf("%.9f\n", seconds);
        }
        closedir(dir);
    }
}

int main(int argc, char **argv)
{
    size_t n = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
    char *block = n > 0 ? malloc(n) : NULL;

    if (!block) {
        fputs("usage: reader whole|forget|first BLOCK FILE|DIR REFERENCE|REFERENCES\n", stderr);
        return 2;
    }
    memset(block, 1, n); /* its pages are there before the clock runs */
    if (strcmp(argv[1], "first") == 0) {
        first(block, n, argv[3], argv[4]);
        return 0;
    }
    if (strcmp(argv[1], "forget") == 0)
        forget(argv[3]);
    whole(block, n, argv[3]);
    compare(argv[3], argv[4]);
    free(block);
    return 0;
}
