#include "util/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "util/text.h"

enum { SECRET_RANDOM_MAX = 64 };

struct secret {
    size_t n;
    char text[]; /* n bytes and a NUL */
};

static size_t mapped_size(size_t n)
{
    return sizeof(struct secret) + n + 1;
}

void secret_wipe(void *data, size_t n)
{
    if (n)
        explicit_bzero(data, n);
}

int secret_new(const char *text, size_t n, struct secret **ret_secret, struct err *err)
{
    struct secret *secret;

    if (n > SECRET_MAX)
        return err_set(err, E2BIG, "a credential of more than %d bytes", SECRET_MAX);
    /* Its own pages: locking and the core flag then touch nothing else. */
    secret = mmap(NULL, mapped_size(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED)
        return err_sys(err, "no memory for a credential");
    (void)mlock(secret, mapped_size(n));                  /* best effort: RLIMIT_MEMLOCK may be small */
    (void)madvise(secret, mapped_size(n), MADV_DONTDUMP); /* best effort: we are not dumpable anyway */
    secret->n = n;
    memcpy(secret->text, text, n);
    *ret_secret = secret;
    return 0;
}

int secret_from_env(const char *name, struct secret **ret_secret, struct err *err)
{
    char *value = getenv(name);
    int r = 0;

    *ret_secret = NULL;
    if (!value)
        return 0;
    if (*value)
        r = secret_new(value, strlen(value), ret_secret, err);
    secret_wipe(value, strlen(value)); /* also what /proc/PID/environ shows */
    (void)unsetenv(name); /* NOLINT(concurrency-mt-unsafe): a valid name, cannot fail; there is one thread yet */
    return r;
}

int secret_random(size_t n_bytes, struct secret **ret_secret, struct err *err)
{
    uint8_t bytes[SECRET_RANDOM_MAX];
    char text[2 * SECRET_RANDOM_MAX + 1];
    int r;

    assert(n_bytes <= sizeof bytes);
    if (getrandom(bytes, n_bytes, 0) != (ssize_t)n_bytes)
        return err_sys(err, "no random bytes");
    text_format_hex(bytes, n_bytes, text);
    r = secret_new(text, 2 * n_bytes, ret_secret, err);
    secret_wipe(bytes, sizeof bytes);
    secret_wipe(text, sizeof text);
    return r;
}

const char *secret_text(const struct secret *secret)
{
    return secret->text;
}

size_t secret_length(const struct secret *secret)
{
    return secret->n;
}

void secret_free(struct secret *secret)
{
    if (!secret)
        return;
    size_t size = mapped_size(secret->n);
    secret_wipe(secret, size);
    (void)munmap(secret, size); /* our own mapping: cannot fail */
}
