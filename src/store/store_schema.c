#include "store/store_schema.h"

#include <errno.h>
#include <stdio.h>

#include "util/fault.h"

enum { VERSION_SQL_MAX = 48 };

/*
 * sample.state and entry.* are the numbers of the enums in store.h; sample.state 3 is a sample that was never asked for
 * and only has an error. Unknown metadata is NULL. Rows of entries are never used twice (AUTOINCREMENT), since other
 * layers remember them. What was sent is kept with the request, not with the entry, which the user goes on editing.
 */
static const char *const migrations[] = {
    "CREATE TABLE sample ("
    "  row INTEGER PRIMARY KEY,"
    "  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),"
    "  state INTEGER NOT NULL,"
    "  checked INTEGER NOT NULL DEFAULT 0,"
    "  size INTEGER, first_seen INTEGER,"
    "  sha1 TEXT, md5 TEXT, filetype TEXT, label TEXT, family TEXT,"
    "  error TEXT NOT NULL DEFAULT '');"
    "CREATE TABLE entry ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  dir INTEGER NOT NULL, name TEXT NOT NULL, suffix TEXT NOT NULL,"
    "  state INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL,"
    "  options TEXT NOT NULL, error TEXT NOT NULL, trace TEXT NOT NULL,"
    "  request TEXT," /* the id of the current one */
    "  text BLOB NOT NULL,"
    "  UNIQUE (dir, name));"
    "CREATE TABLE request ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  kind INTEGER NOT NULL, state INTEGER NOT NULL, n_limit INTEGER NOT NULL,"
    "  submitted INTEGER NOT NULL, finished INTEGER NOT NULL DEFAULT 0, n_results INTEGER NOT NULL DEFAULT 0,"
    "  has_stats INTEGER NOT NULL DEFAULT 0, clean INTEGER NOT NULL DEFAULT 0, malware INTEGER NOT NULL DEFAULT 0,"
    "  pua INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,"
    "  entry INTEGER REFERENCES entry (row) ON DELETE SET NULL,"
    "  error TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX request_unfinished ON request (row) WHERE state = 0;"
    "CREATE INDEX request_entry ON request (entry);"
    "CREATE TABLE sent ("
    "  request INTEGER PRIMARY KEY REFERENCES request (row) ON DELETE CASCADE,"
    "  digest BLOB NOT NULL," /* of directory, options and text */
    "  options TEXT NOT NULL, text BLOB NOT NULL);"
    "CREATE INDEX sent_digest ON sent (digest);"
    "CREATE TABLE raw ("
    "  request INTEGER PRIMARY KEY REFERENCES request (row) ON DELETE CASCADE,"
    "  answer BLOB NOT NULL);"
    "CREATE TABLE result ("
    "  request INTEGER NOT NULL REFERENCES request (row) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  sample INTEGER NOT NULL REFERENCES sample (row),"
    "  PRIMARY KEY (request, position)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX result_sample ON result (request, sample);",

    /* What a multi-download was asked for; a reason says why a sample did not come. Words of the user. Defaults. */
    "CREATE TABLE asked ("
    "  request INTEGER NOT NULL REFERENCES request (row) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  reason TEXT NOT NULL DEFAULT '',"
    "  PRIMARY KEY (request, position)) WITHOUT ROWID;"
    "CREATE INDEX asked_digest ON asked (digest);"
    /* What an entry that is being sent asks for, until the answer is here. */
    "CREATE TABLE intended ("
    "  entry INTEGER NOT NULL REFERENCES entry (row) ON DELETE CASCADE,"
    "  digest BLOB NOT NULL CHECK (length(digest) = 32),"
    "  PRIMARY KEY (digest, entry)) WITHOUT ROWID;"
    "CREATE INDEX intended_entry ON intended (entry);"
    "CREATE INDEX result_by_sample ON result (sample);"
    "ALTER TABLE entry ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;" /* sent even if the same was sent before */
    "ALTER TABLE entry ADD COLUMN code INTEGER NOT NULL DEFAULT 0;"   /* errno of its error */
    "ALTER TABLE entry ADD COLUMN note TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE entry ADD COLUMN refused TEXT NOT NULL DEFAULT '';" /* the last word that ctl did not understand */
    "ALTER TABLE request ADD COLUMN note TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE request ADD COLUMN refused TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE defaults (dir INTEGER PRIMARY KEY, text TEXT NOT NULL, changed INTEGER NOT NULL);",

    /* Spending. In `budget` NULL is unlimited, and what was begun up to `since` is not given back to it. `settled`
     * counts in the order of the audit, which is written up to `seq` in its first `bytes`. */
    "CREATE TABLE budget (cost INTEGER PRIMARY KEY, n_left INTEGER, since INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE budget_said (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL);" /* by the last mount */
    "CREATE TABLE spend ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  time INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, settled INTEGER UNIQUE,"
    "  cost INTEGER NOT NULL, n INTEGER NOT NULL,"
    "  operation TEXT NOT NULL, name TEXT NOT NULL, digest BLOB, entry INTEGER,"
    "  uid INTEGER NOT NULL, pid INTEGER NOT NULL, program TEXT NOT NULL,"
    "  request TEXT, verified INTEGER NOT NULL DEFAULT 0, forgiven INTEGER NOT NULL DEFAULT 0,"
    "  code INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', trace TEXT NOT NULL DEFAULT '',"
    "  month_used INTEGER, month_limit INTEGER);"
    "CREATE INDEX spend_open ON spend (row) WHERE settled IS NULL;"
    "CREATE INDEX spend_digest ON spend (digest);"
    "CREATE TABLE audit (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, bytes INTEGER NOT NULL);"
    "INSERT INTO audit VALUES (1, 0, 0);"
    "ALTER TABLE entry ADD COLUMN uid INTEGER NOT NULL DEFAULT 0;" /* who wrote it */
    "ALTER TABLE entry ADD COLUMN pid INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE entry ADD COLUMN program TEXT NOT NULL DEFAULT '';",
};

int store_schema_newest(void)
{
    return (int)ARRAY_SIZE(migrations);
}

CHECKED static int read_version(struct store_db *db, int *ret_version, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(db->sqlite, "PRAGMA user_version", -1, &statement, NULL);

    if (r == SQLITE_OK)
        r = sqlite3_step(statement);
    if (r == SQLITE_ROW)
        *ret_version = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement); /* repeats r */
    return r == SQLITE_ROW ? 0 : store_db_fail(db, err, "version");
}

/* One step inside a transaction: another process may have done it since. */
CHECKED static int migrate_step(struct store_db *db, int from, struct err *err)
{
    char sql[VERSION_SQL_MAX];
    int version = 0;
    int r;

    r = read_version(db, &version, err);
    if (r < 0 || version != from)
        return r;
    r = store_db_exec(db, migrations[from], "migrate", err);
    if (r < 0)
        return r;
    (void)snprintf(sql, sizeof sql, "PRAGMA user_version = %d", from + 1); /* fits */
    return store_db_exec(db, sql, "set the version", err);
}

CHECKED static int migrate_from(struct store_db *db, int from, struct err *err)
{
    int r;

    r = store_db_exec(db, "BEGIN IMMEDIATE", "begin a migration", err);
    if (r < 0)
        return r;
    r = migrate_step(db, from, err);
    CRASH_POINT(MIGRATE_RUN);
    if (r == 0)
        r = store_db_exec(db, "COMMIT", "commit a migration", err);
    CRASH_POINT(MIGRATE_COMMITTED);
    if (r < 0 && !sqlite3_get_autocommit(db->sqlite))
        (void)store_db_exec(db, "ROLLBACK", "roll back", NULL); /* the first cause is reported */
    return r;
}

int store_schema_migrate(struct store_db *db, struct err *err)
{
    int version = 0;
    int r;

    r = read_version(db, &version, err);
    if (r < 0)
        return r;
    if (version < 0 || version > store_schema_newest())
        return err_set(err, EOPNOTSUPP, "state database of version %d: this program knows up to %d", version,
                       store_schema_newest());
    for (; version < store_schema_newest(); version++) {
        r = migrate_from(db, version, err);
        if (r < 0)
            return r;
    }
    return 0;
}
