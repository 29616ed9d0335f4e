/*
 * Who may not make a sample come: programs that open every file they see, only to look at it. A guard against
 * accidents, not access control: a name is easily changed, and the budget decides about everybody else.
 *
 * The names are those seen on GNOME, KDE and Xfce desktops, of indexers, thumbnailers, backup programs and scanners
 * that watch files as they are opened. A script is known by comm alone, which the kernel cuts after 15 bytes: patterns
 * must match what is left. Scanners that are told what to scan (clamscan, clamdscan) are not among them.
 */
#include "tree/tree_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "util/text.h"

static const char *const looking[] = {
    /* clang-format off */
    /* file managers and their helpers */
    "nautilus", "org.gnome.Nauti*", "nautilus-*", "nemo", "nemo-*", "caja", "caja-*", "thunar", "Thunar", "pcmanfm*",
    "dolphin", "konqueror", "krusader", "spacefm", "doublecmd", "gio", "gvfsd*", "kioworker*", "kioslave*", "kdeinit*",
    "xdg-desktop-por*", "sushi*", "gnome-sushi*", "gloobus*", "file-roller",
    /* thumbnailers; xapp-thumbnailers are scripts whose names are cut before the word */
    "tumblerd", "*thumbnail*", "*-thum*", "xapp-*",
    /* indexers */
    "tracker-*", "localsearch*", "baloo*", "recollindex", "recoll", "zeitgeist*", "updatedb*", "mlocate", "plocate*",
    "beagled", "nepomuk*", "akonadi*", "gnome-software*", "zim-index*",
    /* backup and sync */
    "restic", "borg", "bup", "duplicity", "deja-dup*", "duplicati*", "rsnapshot", "rdiff-backup", "bacula-fd", "bareos-fd",
    "amanda*", "tarsnap", "timeshift", "backintime*", "kopia", "urbackup*", "dsmc", "veeamagent*", "nextcloud*",
    "dropbox*", "insync*", "syncthing", "rclone",
    /* scanners that watch what others open */
    "clamonacc", "falcon-sensor*", "wdavdaemon*", "savscand*", "ds_agent", "cbagentd", "SentinelAgent*", "s1-agent*",
    "mfetpd", "isecespd", "symcfgd", "rtvscand", "fsoasd", "esets_daemon", "oaeventd", "osqueryd", "aide", "rkhunter",
    /* clang-format on */
};

/* "a:b" adds to the table above; what begins with a colon, or is empty, stands alone. */
static bool is_listed(const char *list, const char *program)
{
    char name[CALLER_PROGRAM_MAX + 1];

    while (list && *list) {
        size_t n = strcspn(list, ":");

        if (n > 0 && n < sizeof name) { /* longer ones match nothing */
            (void)snprintf(name, sizeof name, "%.*s", (int)n, list);
            if (fnmatch(name, program, 0) == 0)
                return true;
        }
        list += n + (list[n] == ':');
    }
    return false;
}

static bool is_looking(const char *deny, const char *program)
{
    if (deny && (*deny == '\0' || *deny == ':'))
        return is_listed(deny, program);
    for (size_t i = 0; i < ARRAY_SIZE(looking); i++)
        if (fnmatch(looking[i], program, 0) == 0)
            return true;
    return is_listed(deny, program);
}

/* As of now; false: the user has said nothing. ret_deny has TREE_DENY_MAX + 1 bytes. */
static bool current_deny(struct tree *tree, char *ret_deny)
{
    bool has_deny;

    lock_acquire(&tree->lock);
    has_deny = tree->has_deny && text_copy(ret_deny, TREE_DENY_MAX + 1, tree->deny);
    lock_release(&tree->lock);
    return has_deny;
}

int deny_sample(struct tree *tree, const struct digest *digest, int flags, const struct caller *who, struct err *err)
{
    char comm[CALLER_PROGRAM_MAX + 1];
    char listed[TREE_DENY_MAX + 1];
    const char *deny = current_deny(tree, listed) ? listed : NULL;
    const char *why = NULL;

    process_comm(who->pid, comm, sizeof comm);
    if (is_looking(deny, who->program) || is_looking(deny, comm))
        why = "this program opens files only to look (-o deny=)";
    else if (flags & O_NOATIME) /* what file managers use to look into every file of a folder */
        why = "it is opened with O_NOATIME, as by a program that only looks";
    if (!why)
        return 0;
    cache_denied(tree->cache, digest, who, why);
    return err_set(err, EACCES, "sample %s is not local, and %s is not one to download it: %s", digest_short(digest).s,
                   who->program[0] ? who->program : "this program", why);
}
