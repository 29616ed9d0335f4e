#include "test_store_archive_fixture.h"

#include <pthread.h>

#include "store/store_internal.h"
#include "store/store_seal.h"

enum { SOME_TIME_S = 1700000000 };

static const struct store_zip_config configs[] = {
    { .password = password, .method = STORE_ZIP_CRYPTO },
    { .password = password, .method = STORE_ZIP_AES },
};

static struct store_zip *open_zip(struct fixture *fixture, const struct digest *digest,
                                  const struct store_zip_config *config)
{
    struct store_zip *zip = NULL;

    if (store_zip_open(fixture->store, digest, config, SOME_TIME_S, &zip, &fixture->err) != 0)
        fail_msg("%s", fixture->err.text);
    return zip;
}

static int64_t size_of(struct fixture *fixture, const struct digest *digest, const struct store_zip_config *config)
{
    int64_t size = -1;

    if (store_zip_size(fixture->store, digest, config, &size, &fixture->err) != 0)
        fail_msg("%s", fixture->err.text);
    return size;
}

/* All bytes, which are as many as promised. */
static struct buf read_zip(struct fixture *fixture, struct store_zip *zip, int64_t promised)
{
    struct buf bytes = BUF_INIT(8 * MIB);
    size_t room = (size_t)promised + 100;
    size_t n = 0;

    assert_int_equal(store_zip_read(zip, 0, buf_reserve(&bytes, room), room, &n, &fixture->err), 0);
    assert_int_equal(n, promised);
    buf_commit(&bytes, n);
    return bytes;
}

static struct buf zip_bytes(struct fixture *fixture, const struct digest *digest, const struct store_zip_config *config)
{
    cleanup_(store_zip_unrefp) struct store_zip *zip = open_zip(fixture, digest, config);

    return read_zip(fixture, zip, size_of(fixture, digest, config));
}

static struct content stored(struct fixture *fixture, size_t n)
{
    struct content content = make_content(n, (unsigned int)n);

    fixture_store(fixture, &content.digest, content.bytes, content.n);
    return content;
}

/* ---- what is in a zip ---- */

static void expect_member(const struct buf *bytes, const struct content *content, zip_uint16_t encryption)
{
    zip_t *zip = zip_open_from_source(zip_source_buffer_create(bytes->data, bytes->n, 0, NULL), ZIP_CHECKCONS, NULL);
    cleanup_(freep) uint8_t *got = malloc(content->n + 1);
    zip_file_t *file;
    zip_stat_t st;

    assert_non_null(zip);
    assert_int_equal(zip_get_num_entries(zip, 0), 1);
    assert_int_equal(zip_stat_index(zip, 0, 0, &st), 0);
    assert_string_equal(st.name, content->hex.s);
    assert_int_equal(st.size, content->n);
    assert_int_equal(st.comp_method, ZIP_CM_STORE);
    assert_int_equal(st.encryption_method, encryption);
    assert_int_equal(st.mtime, SOME_TIME_S);
    file = zip_fopen_index_encrypted(zip, 0, 0, password);
    assert_non_null(file);
    assert_int_equal(zip_fread(file, got, content->n + 1), content->n);
    if (content->n > 0)
        assert_memory_equal(got, content->bytes, content->n);
    assert_int_equal(zip_fclose(file), 0);
    assert_null(zip_fopen_index_encrypted(zip, 0, 0, NULL));
    zip_discard(zip);
}

static void a_zip_has_the_promised_size_and_the_sample(void **state)
{
    static const size_t sizes[] = { 0, 1, 19, 20, 4096, 131071, 131072, 131073, MIB + 7 };
    static const zip_uint16_t encryptions[] = { ZIP_EM_TRAD_PKWARE, ZIP_EM_AES_256 };

    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        struct content content = stored(*state, sizes[s]);

        for (size_t c = 0; c < ARRAY_SIZE(configs); c++) {
            struct buf bytes = zip_bytes(*state, &content.digest, &configs[c]);

            expect_member(&bytes, &content, encryptions[c]);
            buf_done(&bytes);
        }
        content_done(&content);
    }
}

static void the_unpacker_of_archives_reads_it(void **state)
{
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 200000);

    for (size_t c = 0; c < ARRAY_SIZE(configs); c++) {
        keep_buf(fixture, zip_bytes(fixture, &content.digest, &configs[c]));
        assert_int_equal(unlink(fixture_path(fixture, &content.digest).s), 0);
        assert_int_equal(unpack(fixture, &content, 1), 0);
        assert_string_equal(reasons[0].text, "");
        expect_stored(fixture, &content);
    }
    content_done(&content);
}

/* Writes what a tool prints to a file; NO_TOOL when it is not installed. */
enum { NO_TOOL = 127 };

static int run(const char *const *command, const char *output)
{
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open(output, O_CREAT | O_TRUNC | O_WRONLY, 0600);

        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
            _exit(1);
        (void)execvp(command[0], (char *const *)(uintptr_t)command);
        _exit(NO_TOOL);
    }
    return fixture_wait(pid);
}

static void write_file(const char *path, const struct buf *bytes)
{
    cleanup_(closep) int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_int_equal(write(fd, bytes->data, bytes->n), bytes->n);
}

static void expect_file(const char *path, const struct content *content)
{
    cleanup_(closep) int fd = open(path, O_RDONLY);
    cleanup_(freep) uint8_t *got = malloc(content->n + 1);

    assert_int_equal(read(fd, got, content->n + 1), content->n);
    assert_memory_equal(got, content->bytes, content->n);
}

/* The tool, under one of its names, prints the member of "sample.zip". */
static void expect_tool_reads(struct fixture *fixture, const struct store_zip_config *config,
                              const char *const *const *commands)
{
    struct content content = make_content(200000, 1);
    struct buf bytes;
    int status = NO_TOOL;

    memset(content.bytes, 'a', strlen(MARKER)); /* these bytes do go to the disk, from the tool */
    assert_int_equal(digest_of(content.bytes, content.n, &content.digest, NULL), 0);
    fixture_store(fixture, &content.digest, content.bytes, content.n);
    bytes = zip_bytes(fixture, &content.digest, config);
    assert_int_equal(chdir(fixture->dir), 0);
    write_file("sample.zip", &bytes);
    for (; status == NO_TOOL && *commands; commands++)
        status = run(*commands, "sample");
    if (status != NO_TOOL) {
        assert_int_equal(status, 0);
        expect_file("sample", &content);
    }
    assert_int_equal(chdir("/"), 0);
    buf_done(&bytes);
    content_done(&content);
    if (status == NO_TOOL) {
        print_message("neither of the programs that read this zip is installed\n");
        skip();
    }
}

static const char *const unzip[] = { "unzip", "-P", password, "-p", "sample.zip", NULL };
static const char *const seven_zip[] = { "7z", "x", "-so", "-pinfected", "sample.zip", NULL };
static const char *const seven_zip_of_debian_12[] = { "7zz", "x", "-so", "-pinfected", "sample.zip", NULL };

static void unzip_reads_zipcrypto(void **state)
{
    expect_tool_reads(*state, &configs[STORE_ZIP_CRYPTO], (const char *const *const[]){ unzip, NULL });
}

static void seven_zip_reads_zipcrypto(void **state)
{
    expect_tool_reads(*state, &configs[STORE_ZIP_CRYPTO],
                      (const char *const *const[]){ seven_zip, seven_zip_of_debian_12, NULL });
}

static void seven_zip_reads_aes(void **state)
{
    expect_tool_reads(*state, &configs[STORE_ZIP_AES],
                      (const char *const *const[]){ seven_zip, seven_zip_of_debian_12, NULL });
}

static void a_time_that_no_zip_can_name_becomes_the_nearest(void **state)
{
    static const int64_t times[] = { INT64_MIN, -1, 0, 400000000, 4000000000, 9000000000, INT64_MAX };
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 10);
    int64_t size = size_of(fixture, &content.digest, &configs[0]);

    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        cleanup_(store_zip_unrefp) struct store_zip *opened = NULL;
        struct buf bytes;
        zip_stat_t st;
        zip_t *zip;

        assert_int_equal(store_zip_open(fixture->store, &content.digest, &configs[0], times[i], &opened, &fixture->err),
                         0);
        bytes = read_zip(fixture, opened, size);
        zip = zip_open_from_source(zip_source_buffer_create(bytes.data, bytes.n, 0, NULL), 0, NULL);
        assert_int_equal(zip_stat_index(zip, 0, 0, &st), 0);
        assert_int_equal(st.mtime, times[i] < 315619200 ? 315619200 : times[i] > 4354646400 ? 4354646400 : times[i]);
        zip_discard(zip);
        buf_done(&bytes);
    }
    content_done(&content);
}

/* ---- sharing ---- */

static void a_zip_that_is_open_is_opened_again_with_the_same_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 1000);

    for (size_t c = 0; c < ARRAY_SIZE(configs); c++) {
        cleanup_(store_zip_unrefp) struct store_zip *first = open_zip(fixture, &content.digest, &configs[c]);
        struct store_zip *again = NULL;

        assert_int_equal(store_zip_open(fixture->store, &content.digest, &configs[c], 0, &again, &fixture->err), 0);
        assert_ptr_equal(again, first);
        store_zip_unref(again);
    }
    content_done(&content);
}

static void zips_with_another_password_or_method_are_others(void **state)
{
    struct fixture *fixture = *state;
    struct store_zip_config other = { .password = "other", .method = STORE_ZIP_CRYPTO };
    struct content content = stored(fixture, 1000);
    cleanup_(store_zip_unrefp) struct store_zip *first = open_zip(fixture, &content.digest, &configs[0]);
    cleanup_(store_zip_unrefp) struct store_zip *second = open_zip(fixture, &content.digest, &configs[1]);
    cleanup_(store_zip_unrefp) struct store_zip *third = open_zip(fixture, &content.digest, &other);

    assert_ptr_not_equal(first, second);
    assert_ptr_not_equal(first, third);
    content_done(&content);
}

static void a_zip_is_made_anew_when_nobody_has_it_open(void **state)
{
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 1000);
    struct buf first = zip_bytes(fixture, &content.digest, &configs[0]);
    struct buf second = zip_bytes(fixture, &content.digest, &configs[0]);

    assert_int_equal(first.n, second.n);
    assert_memory_not_equal(first.data, second.data, first.n);
    buf_done(&first);
    buf_done(&second);
    content_done(&content);
}

static void a_reference_outlives_the_first_unref(void **state)
{
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 1000);
    struct store_zip *zip = open_zip(fixture, &content.digest, &configs[0]);
    cleanup_(store_zip_unrefp) struct store_zip *more = store_zip_ref(zip);
    struct buf bytes;

    store_zip_unref(zip);
    assert_int_equal(unlink(fixture_path(fixture, &content.digest).s), 0); /* evicted: the zip has its own bytes */
    bytes = read_zip(fixture, more, 1000 + 12 + 16 + 30 + 46 + 22 + 2 * DIGEST_TEXT);
    expect_member(&bytes, &content, ZIP_EM_TRAD_PKWARE);
    buf_done(&bytes);
    content_done(&content);
}

enum { THREADS = 4, ROUNDS = 20 };

struct opener {
    struct fixture *fixture;
    const struct content *content;
    const struct buf *expected; /* NULL: nobody has it open, any will do */
};

static void *open_read_close(void *closure)
{
    const struct opener *opener = closure;
    size_t room = opener->content->n + 1000;
    cleanup_(freep) char *got = malloc(room);

    for (int i = 0; i < ROUNDS; i++) {
        cleanup_(store_zip_unrefp) struct store_zip *zip = NULL;
        size_t n = 0;

        if (store_zip_open(opener->fixture->store, &opener->content->digest, &configs[0], i, &zip, NULL) != 0 ||
            store_zip_read(zip, 0, got, room, &n, NULL) != 0)
            return closure;
        if (opener->expected && (n != opener->expected->n || memcmp(got, opener->expected->data, n) != 0))
            return closure;
    }
    return NULL;
}

static void run_threads(struct opener *opener)
{
    pthread_t threads[THREADS];
    void *failed = NULL;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_read_close, opener), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static void threads_share_a_zip(void **state)
{
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 300000);
    struct opener opener = { .fixture = fixture, .content = &content };

    run_threads(&opener);
    {
        cleanup_(store_zip_unrefp) struct store_zip *zip = open_zip(fixture, &content.digest, &configs[0]);
        struct buf expected = read_zip(fixture, zip, size_of(fixture, &content.digest, &configs[0]));

        opener.expected = &expected;
        run_threads(&opener);
        buf_done(&expected);
    }
    content_done(&content);
}

/* ---- reading ---- */

static void reads_at_every_border_equal_the_whole(void **state)
{
    static const int64_t offsets[] = { 0, 1, 65535, 65536, 65537, 131072, 199999, 200213, 200214, 200215, 1 << 30 };
    static const size_t lengths[] = { 0, 1, 4096, 65536, 65537, 300000 };
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 200000);
    cleanup_(store_zip_unrefp) struct store_zip *zip = open_zip(fixture, &content.digest, &configs[0]);
    struct buf whole = read_zip(fixture, zip, size_of(fixture, &content.digest, &configs[0]));
    cleanup_(freep) char *got = malloc(300000);

    for (size_t o = 0; o < ARRAY_SIZE(offsets); o++)
        for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
            size_t left = (size_t)offsets[o] < whole.n ? whole.n - (size_t)offsets[o] : 0;
            size_t n = 12345;

            assert_int_equal(store_zip_read(zip, offsets[o], got, lengths[l], &n, &fixture->err), 0);
            assert_int_equal(n, left < lengths[l] ? left : lengths[l]);
            if (n > 0)
                assert_memory_equal(got, whole.data + offsets[o], n);
        }
    assert_int_equal(store_zip_read(zip, -1, got, 1, &(size_t){ 0 }, &fixture->err), -EINVAL);
    buf_done(&whole);
    content_done(&content);
}

/* ---- refusals ---- */

static void a_sample_that_is_not_local_has_no_zip(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = fixture_digest(1);
    struct store_zip *zip = NULL;
    int64_t size = -1;

    assert_int_equal(store_zip_size(fixture->store, &digest, &configs[0], &size, &fixture->err), STORE_ABSENT);
    assert_int_equal(store_zip_open(fixture->store, &digest, &configs[0], 0, &zip, &fixture->err), STORE_ABSENT);
}

static void passwords_that_cannot_be_typed_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 10);
    char long_one[STORE_ZIP_PASSWORD_MAX + 2];
    const char *const bad[] = { "", "tab\t", "line\n", "\x7f", "gr\xc3\xbc\xc3\x9f", long_one };
    struct store_zip_config config = { .password = long_one };
    struct store_zip *zip = NULL;
    int64_t size = -1;

    memset(long_one, 'x', sizeof long_one);
    long_one[sizeof long_one - 1] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        config.password = bad[i];
        assert_int_equal(store_zip_size(fixture->store, &content.digest, &config, &size, &fixture->err), -EINVAL);
        assert_int_equal(store_zip_open(fixture->store, &content.digest, &config, 0, &zip, &fixture->err), -EINVAL);
    }
    config.password = long_one;
    long_one[sizeof long_one - 2] = '\0';
    for (int method = 0; method < STORE_ZIP_METHODS; method++) {
        config.method = (enum store_zip_method)method;
        store_zip_unref(open_zip(fixture, &content.digest, &config));
    }
    content_done(&content);
}

static void a_damaged_sample_has_no_zip(void **state)
{
    struct fixture *fixture = *state;
    struct content content = stored(fixture, 300000);
    struct store_zip *zip = NULL;
    uint8_t byte = 0;
    int fd = open(fixture_path(fixture, &content.digest).s, O_RDWR);

    assert_int_equal(pread(fd, &byte, 1, 200000), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 200000), 1);
    close(fd);
    for (size_t c = 0; c < ARRAY_SIZE(configs); c++)
        assert_true(store_zip_open(fixture->store, &content.digest, &configs[c], 0, &zip, &fixture->err) != 0);
    assert_int_equal(fixture->err.code, EIO);
    assert_non_null(strstr(fixture->err.text, "damaged"));
    assert_int_equal(fixture_count(fixture, "damaged"), 1);
    content_done(&content);
}

/* A sample of any size that can be opened, but not read: only its header is there. */
static struct digest stored_header(struct fixture *fixture, int64_t n)
{
    struct digest digest = fixture_sample(fixture, 1, 1);
    uint8_t header[SEAL_HEADER_BYTES];
    struct store_seal seal;
    int fd = open(fixture_path(fixture, &digest).s, O_RDWR);

    assert_int_equal(store_seal_init(&seal, fixture->store->keys[0], &digest, NULL), 0);
    assert_int_equal(store_seal_header(&seal, n, header, NULL), 0);
    assert_int_equal(pwrite(fd, header, sizeof header, 0), sizeof header);
    assert_int_equal(ftruncate(fd, store_seal_file_bytes(n)), 0);
    close(fd);
    store_seal_done(&seal);
    return digest;
}

static void a_zip_beyond_the_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct digest digest = stored_header(fixture, STORE_ZIP_MEMORY_MAX);
    struct store_zip *zip = NULL;

    assert_true(size_of(fixture, &digest, &configs[0]) > STORE_ZIP_MEMORY_MAX);
    assert_int_equal(store_zip_open(fixture->store, &digest, &configs[0], 0, &zip, &fixture->err), -EFBIG);
    assert_int_equal(unlink(fixture_path(fixture, &digest).s), 0);
}

static void zips_that_are_open_have_a_limit_together(void **state)
{
    struct fixture *fixture = *state;
    struct content first = stored(fixture, 1000);
    struct digest second = stored_header(fixture, STORE_ZIP_MEMORY_MAX - 1000);
    struct store_zip *zip = open_zip(fixture, &first.digest, &configs[0]);
    struct store_zip *none = NULL;

    assert_int_equal(store_zip_open(fixture->store, &second, &configs[0], 0, &none, &fixture->err), -ENOMEM);
    store_zip_unref(zip); /* now there is room, but its bytes are not there */
    assert_int_equal(store_zip_open(fixture->store, &second, &configs[0], 0, &none, &fixture->err), -EIO);
    assert_int_equal(fixture->store->zip_bytes, 0);
    content_done(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARCHIVE_TEST(a_zip_has_the_promised_size_and_the_sample),
        ARCHIVE_TEST(the_unpacker_of_archives_reads_it),
        ARCHIVE_TEST(unzip_reads_zipcrypto),
        ARCHIVE_TEST(seven_zip_reads_zipcrypto),
        ARCHIVE_TEST(seven_zip_reads_aes),
        ARCHIVE_TEST(a_time_that_no_zip_can_name_becomes_the_nearest),
        ARCHIVE_TEST(a_zip_that_is_open_is_opened_again_with_the_same_bytes),
        ARCHIVE_TEST(zips_with_another_password_or_method_are_others),
        ARCHIVE_TEST(a_zip_is_made_anew_when_nobody_has_it_open),
        ARCHIVE_TEST(a_reference_outlives_the_first_unref),
        ARCHIVE_TEST(threads_share_a_zip),
        ARCHIVE_TEST(reads_at_every_border_equal_the_whole),
        ARCHIVE_TEST(a_sample_that_is_not_local_has_no_zip),
        ARCHIVE_TEST(passwords_that_cannot_be_typed_are_refused),
        ARCHIVE_TEST(a_damaged_sample_has_no_zip),
        ARCHIVE_TEST(a_zip_beyond_the_limit_is_refused),
        ARCHIVE_TEST(zips_that_are_open_have_a_limit_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
