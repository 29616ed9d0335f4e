/*
 * A terminal in the state that a full-screen program needs: the alternate screen, no cursor, no wrapping, keys as they
 * come. A picture is written whole, from the upper left corner on, so that nothing flickers and nothing has to be known
 * of what is there. These few sequences are understood by everything that calls itself a terminal today.
 */
#include "top/top_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { COLUMNS_DEFAULT = 80, ROWS_DEFAULT = 24 };

static const char enter_codes[] = "\033[?1049h\033[?25l\033[?7l";
static const char leave_codes[] = "\033[?7h\033[?25h\033[?1049l";
static const char home[] = "\033[H";
static const char line_end[] = "\033[K";   /* clears to the end of the line … */
static const char screen_end[] = "\033[J"; /* … and of the screen */

struct screen {
    struct termios before; /* of standard input */
    bool has_keys;
};

static int write_all(const char *text, size_t n, struct err *err)
{
    while (n > 0) {
        ssize_t written = write(STDOUT_FILENO, text, n);

        if (written < 0 && errno != EINTR)
            return err_sys(err, "write to the terminal");
        if (written > 0) {
            text += written;
            n -= (size_t)written;
        }
    }
    return 0;
}

void screen_enter(struct screen *screen)
{
    struct err ignored = { 0 };
    struct termios keys = screen->before;

    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* ISIG stays: Ctrl-C and Ctrl-Z are signals */
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    if (screen->has_keys)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys);            /* then keys come by the line */
    (void)write_all(enter_codes, sizeof enter_codes - 1, &ignored); /* the next picture fails, too */
}

void screen_leave(struct screen *screen)
{
    struct err ignored = { 0 };

    (void)write_all(leave_codes, sizeof leave_codes - 1, &ignored); /* the terminal is gone: nothing to restore */
    if (screen->has_keys)
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen->before); /* likewise */
}

int screen_open(struct screen **ret_screen, struct err *err)
{
    struct screen *screen = calloc(1, sizeof *screen);

    if (!screen)
        return err_set(err, ENOMEM, "no memory for a screen");
    screen->has_keys = tcgetattr(STDIN_FILENO, &screen->before) == 0;
    screen_enter(screen);
    *ret_screen = screen;
    return 0;
}

void screen_close(struct screen *screen)
{
    if (screen)
        screen_leave(screen);
    free(screen);
}

void screen_size(int *ret_columns, int *ret_rows)
{
    struct winsize size = { 0 };

    *ret_columns = COLUMNS_DEFAULT;
    *ret_rows = ROWS_DEFAULT;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return;
    if (size.ws_col > 0)
        *ret_columns = size.ws_col;
    if (size.ws_row > 0)
        *ret_rows = size.ws_row;
}

int screen_show(struct screen *screen, const char *picture, size_t n, struct err *err)
{
    cleanup_(buf_done) struct buf codes = BUF_INIT(TOP_FRAME_MAX);
    const char *end = picture + n;

    (void)screen;
    buf_puts(&codes, home);
    for (const char *line = picture; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);

        buf_append(&codes, line, length);
        buf_puts(&codes, line_end);
        line += length + 1;
        if (line < end)
            buf_puts(&codes, "\r\n");
    }
    buf_puts(&codes, screen_end);
    if (buf_check(&codes, err, "a picture") < 0)
        return -err->code;
    return write_all(codes.data, codes.n, err);
}
