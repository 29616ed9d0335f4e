#include "engine/engine_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/buf.h"
#include "util/text.h"

enum { ID_BYTES = 16, SECRET_BYTES = 20, FILE_MAX = 2 * SECRET_MAX + 128 };

#define ID_NAME "FALCON_CLIENT_ID"
#define SECRET_NAME "FALCON_CLIENT_SECRET"

int engine_credentials_get(struct engine_credentials *ret_credentials, struct err *err)
{
    cleanup_(engine_credentials_done) struct engine_credentials c = { 0 };
    int r = secret_from_env(ID_NAME, &c.client_id, err);

    if (r == 0)
        r = secret_from_env(SECRET_NAME, &c.client_secret, err);
    if (r < 0)
        return r;
    if (!c.client_id != !c.client_secret)
        return err_set(err, EINVAL, "%s is set and %s is not", c.client_id ? ID_NAME : SECRET_NAME,
                       c.client_id ? SECRET_NAME : ID_NAME);
    if (!c.client_id) {
        c.is_made_up = true;
        r = secret_random(ID_BYTES, &c.client_id, err);
        if (r == 0)
            r = secret_random(SECRET_BYTES, &c.client_secret, err);
        if (r < 0)
            return r;
    }
    ret_credentials->client_id = steal_ptr(&c.client_id);
    ret_credentials->client_secret = steal_ptr(&c.client_secret);
    ret_credentials->is_made_up = c.is_made_up;
    return 0;
}

void engine_credentials_done(struct engine_credentials *credentials)
{
    secret_free(credentials->client_id);
    secret_free(credentials->client_secret);
    *credentials = (struct engine_credentials){ 0 };
}

/* Writes to a new file beside `path` and renames it: a reader sees all or nothing. */
CHECKED static int write_file(const char *path, const char *data, size_t n, struct err *err)
{
    cleanup_(closep) int fd = -1;
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return err_set(err, ENAMETOOLONG, "'%s' is too long", path);
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return err_sys(err, "make '%s'", temporary);
    if (write(fd, data, n) != (ssize_t)n || rename(temporary, path) < 0) {
        (void)err_sys(err, "write '%s'", path); /* the code comes back below */
        (void)unlink(temporary);                /* best effort */
        return err ? -err->code : -EIO;
    }
    return 0;
}

int engine_credentials_write(const struct engine_credentials *credentials, const char *path, struct err *err)
{
    struct buf text = BUF_INIT(FILE_MAX);
    int r;

    buf_printf(&text, "%s=%s\n%s=%s\n", ID_NAME, secret_text(credentials->client_id), SECRET_NAME,
               secret_text(credentials->client_secret));
    r = buf_check(&text, err, "credentials");
    if (r == 0)
        r = write_file(path, text.data, text.n, err);
    if (text.data)
        secret_wipe(text.data, text.room);
    buf_done(&text);
    return r;
}

int engine_credentials_make_dirs(const char *path, struct err *err)
{
    char dir[PATH_MAX];

    if (!text_copy(dir, sizeof dir, path))
        return err_set(err, ENAMETOOLONG, "'%s' is too long", path);
    for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
            return err_sys(err, "make '%s'", dir);
        *slash = '/';
    }
    return 0;
}
