/* Any bytes as the archive of a multi-download; what is stored afterwards must be what was wanted, and nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The seeds of the corpus have these members. */
static const char *const contents[] = { "hello\n", "", "a third sample" };
enum { WANTED = sizeof contents / sizeof *contents };

static struct digest wanted[WANTED];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    store_start();
    for (size_t i = 0; i < WANTED; i++)
        check(digest_of(contents[i], strlen(contents[i]), &wanted[i], NULL) == 0);
    return 0;
}

static void keep(const struct request_id *id, const uint8_t *data, size_t n)
{
    struct store_writer *writer = NULL;

    check(store_archive_begin(store, id, &writer, NULL) == 0);
    check(store_writer_write(writer, data, n, NULL) == 0);
    check(store_writer_commit(writer, NULL) == 0);
}

static int check_object(void *closure, const struct digest *digest)
{
    size_t *n_objects = closure;
    cleanup_(store_object_unrefp) struct store_object *object = NULL;
    char bytes[PATH_ROOM];
    size_t n = 0;
    size_t i = 0;

    while (i < WANTED && !digest_equal(&wanted[i], digest))
        i++;
    check(i < WANTED);
    check(store_object_open(store, digest, &object, NULL) == 0);
    check(store_object_read(object, 0, bytes, sizeof bytes, &n, NULL) == 0);
    check(n == strlen(contents[i]) && memcmp(bytes, contents[i], n) == 0);
    ++*n_objects;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct request_id id = { .s = "742db9f3-0000-0000-0000-000000000001" };
    const struct store_unpack ask = { .wanted = wanted, .n_wanted = WANTED, .password = "infected" };
    struct store_reason reasons[WANTED];
    size_t n_objects = 0;
    size_t n_without_reason = 0;
    int r;

    keep(&id, data, n);
    r = store_archive_unpack(store, &id, &ask, reasons, NULL);
    check(r == 0 || r == -EPROTO || r == -EFBIG);
    check(store_object_list(store, check_object, &n_objects, NULL) == 0);
    for (size_t i = 0; i < WANTED; i++) {
        const struct store_ref ref = { .kind = STORE_SEALED, .shelf = SHELF_SAMPLES, .digest = wanted[i] };

        n_without_reason += r == 0 && !*reasons[i].text;
        (void)store_place_disk.evict(store, &ref, EVICT_REMOVE); /* may not be there */
    }
    check(r < 0 || n_without_reason == n_objects);
    return 0;
}
