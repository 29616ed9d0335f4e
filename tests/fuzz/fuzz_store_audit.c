/* Any bytes as what audit.jsonl has behind the place that the database notes: after catching up it begins with the
 * whole lines that it began with, has no other, and catching up once more changes nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { SETTLED = 3, FILE_MAX = 4 * MIB };

static void spend(void)
{
    static const struct caller who = { .program = "cat" };
    const struct store_month unknown = { 0 };
    const struct store_spend spend = { .cost = COST_HUNTS, .n = 1, .operation = "hunt", .name = "a", .who = &who };
    const struct store_settled settled = { .state = STORE_SPEND_PAID };
    int64_t used = 0;
    int64_t row = 0;

    check(store_spend_begin(store, &spend, &unknown, &row, &used, NULL) == 0);
    check(store_spend_settle(store, row, &settled, NULL) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    store_start();
    check(store_budget_set(store, COST_HUNTS, SETTLED, false, NULL) == 0);
    for (int i = 0; i < SETTLED; i++)
        spend();
    return 0;
}

/* As if nothing had been noted yet. */
static void forget_place(void)
{
    lock_acquire(&store->db.lock);
    {
        cleanup_(store_query_done) struct store_query query = store_query(&store->db, SQL_AUDIT_PUT);

        store_query_int(&query, 0);
        store_query_int(&query, 0);
        check(store_query_run(&query, NULL) == 0);
    }
    lock_release(&store->db.lock);
}

static size_t flush(char *ret_bytes)
{
    ssize_t n;

    check(store_audit_flush(store, NULL) == 0);
    n = pread(store->audit_fd, ret_bytes, FILE_MAX, 0);
    check(n >= 0 && n < FILE_MAX);
    return (size_t)n;
}

static bool is_whole(const char *line, size_t n)
{
    static const char denied[] = "{\"time\":"; /* within a line only where a torn one precedes */

    return n >= 2 && line[0] == '{' && line[n - 1] == '}' && !memchr(line, '\0', n) &&
           !memmem(line + 1, n - 1, denied, sizeof denied - 1);
}

/* Bytes of the whole lines that the text begins with. */
static size_t whole_of(const char *text, size_t n)
{
    size_t at = 0;

    for (const char *end; at < n && (end = memchr(text + at, '\n', n - at)); at = (size_t)(end - text) + 1)
        if (!is_whole(text + at, (size_t)(end - text) - at))
            break;
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char once[FILE_MAX];
    static char twice[FILE_MAX];
    size_t n_whole = whole_of((const char *)data, n);
    size_t n_once;

    forget_place();
    check(ftruncate(store->audit_fd, 0) == 0);
    check(write(store->audit_fd, data, n) == (ssize_t)n);
    n_once = flush(once);
    check(n_once >= n_whole && (n_whole == 0 || memcmp(once, data, n_whole) == 0));
    check(whole_of(once, n_once) == n_once);
    check(flush(twice) == n_once && memcmp(once, twice, n_once) == 0);
    return 0;
}
