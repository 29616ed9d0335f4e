#include "store/store_db.h"

/* Read by store_sample_from_row(). */
#define SAMPLE_COLUMNS                                                                                                 \
    "sample.digest, sample.size, sample.first_seen, sample.sha1, sample.md5, sample.filetype, sample.label, "          \
    "sample.family, sample.state, sample.checked, sample.error"

/* Read by entry_from_row(). */
#define ENTRY_COLUMNS                                                                                                  \
    "row, dir, state, created, changed, name, suffix, options, error, trace, request, forced, note, refused, code, "   \
    "uid, pid, program"

/* Read by request_from_row(). */
#define REQUEST_COLUMNS                                                                                                \
    "row, id, kind, state, n_limit, submitted, finished, n_results, has_stats, clean, malware, pua, total, unknown, "  \
    "entry, error, note, refused"

/* The states are numbers of store.h; 3 is a sample nobody asked the service about (store_schema.c). */
const char *const store_sql_texts[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_DATA_VERSION] = "PRAGMA data_version",

    [SQL_SAMPLE_GET] = "SELECT " SAMPLE_COLUMNS " FROM sample WHERE digest = ?1",
    [SQL_SAMPLE_PUT] =
        "INSERT INTO sample (digest, state, checked, size, first_seen, sha1, md5, filetype, label, family)"
        " VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT (digest) DO UPDATE SET"
        "  state = CASE state WHEN 2 THEN 2 ELSE 0 END, checked = excluded.checked,"
        "  size = coalesce(excluded.size, size), first_seen = coalesce(excluded.first_seen, first_seen),"
        "  sha1 = coalesce(excluded.sha1, sha1), md5 = coalesce(excluded.md5, md5),"
        "  filetype = coalesce(excluded.filetype, filetype), label = coalesce(excluded.label, label),"
        "  family = coalesce(excluded.family, family)"
        " RETURNING row",
    [SQL_SAMPLE_PUT_ABSENT] = "INSERT INTO sample (digest, state, checked) VALUES (?1, 1, ?2)"
                              " ON CONFLICT (digest) DO UPDATE SET"
                              "  state = CASE state WHEN 3 THEN 1 ELSE state END, checked = excluded.checked",
    [SQL_SAMPLE_PUT_GONE] =
        "INSERT INTO sample (digest, state, checked, error) VALUES (?1, 2, ?2, ?3)"
        " ON CONFLICT (digest) DO UPDATE SET state = 2, checked = excluded.checked, error = excluded.error",
    [SQL_SAMPLE_PUT_ERROR] = "INSERT INTO sample (digest, state, error) VALUES (?1, 3, ?2)"
                             " ON CONFLICT (digest) DO UPDATE SET error = excluded.error",
    [SQL_SAMPLE_CLEAR_ERROR] =
        "UPDATE sample SET error = '', state = CASE WHEN state <> 2 THEN state WHEN size IS NULL THEN 3 ELSE 0 END"
        " WHERE digest = ?1 AND (error <> '' OR state = 2)", /* else nothing is written */
    [SQL_SAMPLE_LIST] = "SELECT digest FROM sample"
                        " WHERE digest > ?1 AND (state = 0 OR (state = 2 AND size IS NOT NULL))"
                        " ORDER BY digest LIMIT ?2",

    [SQL_ENTRY_PUT] =
        "INSERT INTO entry (dir, name, suffix, state, created, changed, options, error, trace, request, forced, text,"
        "  uid, pid, program)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
        " ON CONFLICT (dir, name) DO UPDATE SET"
        "  suffix = excluded.suffix, state = excluded.state, changed = excluded.changed, options = excluded.options,"
        "  error = excluded.error, trace = excluded.trace, request = coalesce(excluded.request, request),"
        "  forced = excluded.forced, refused = '', text = excluded.text,"
        "  uid = excluded.uid, pid = excluded.pid, program = excluded.program"
        " RETURNING " ENTRY_COLUMNS,
    [SQL_ENTRY_GET] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE dir = ?1 AND name = ?2",
    [SQL_ENTRY_GET_ROW] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE row = ?1",
    [SQL_ENTRY_TEXT] = "SELECT text FROM entry WHERE row = ?1",
    [SQL_ENTRY_TEXT_SIZE] = "SELECT length(text) FROM entry WHERE row = ?1",
    [SQL_ENTRY_SET_STATE] = "UPDATE entry SET state = ?2, code = ?3, error = ?4, trace = ?5, changed = ?6"
                            " WHERE row = ?1 AND (?7 IS NULL OR (state = ?8 AND text = ?7))"
                            " RETURNING row",
    [SQL_ENTRY_BEGIN] = "UPDATE entry SET state = 2, options = ?3, error = '', trace = ''"
                        " WHERE row = ?1 AND state = 1 AND text = ?2 RETURNING row",
    [SQL_ENTRY_QUEUE] = "UPDATE entry SET state = 1, forced = iif(state = 1, max(forced, ?2), ?2), error = '', trace = "
                        "'', refused = '', changed = ?3, uid = ?4, pid = ?5, program = ?6"
                        " WHERE row = ?1 AND state <> 2 RETURNING row",
    [SQL_ENTRY_SHOW] = "UPDATE entry SET state = 3, options = ?3, request = ?4, error = '', trace = ''"
                       " WHERE row = ?1 AND state = 1 AND text = ?2 RETURNING row",
    [SQL_ENTRY_ACCEPTED] =
        "UPDATE entry SET state = CASE WHEN text = ?4 THEN 3 WHEN state = 1 THEN 1 ELSE 0 END,"
        " request = ?2, changed = ?3, error = '', trace = '', forced = 0 WHERE row = ?1 RETURNING row",
    [SQL_ENTRY_RENAME] = "UPDATE entry SET name = ?2, suffix = ?3 WHERE row = ?1 RETURNING row",
    [SQL_ENTRY_NOTE] = "UPDATE entry SET note = ?2, refused = '' WHERE row = ?1 RETURNING row",
    [SQL_ENTRY_REFUSED] = "UPDATE entry SET refused = ?2 WHERE row = ?1 RETURNING row",
    [SQL_ENTRY_DELETE] = "DELETE FROM entry WHERE row = ?1 RETURNING row",
    [SQL_ENTRY_LIST] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE dir = ?1 ORDER BY name",

    [SQL_DEFAULTS_GET] = "SELECT text, changed FROM defaults WHERE dir = ?1",
    [SQL_DEFAULTS_PUT] = "INSERT OR REPLACE INTO defaults (dir, text, changed) VALUES (?1, ?2, ?3)",

    [SQL_BUDGET_GET] = "SELECT n_left FROM budget WHERE cost = ?1",
    [SQL_BUDGET_BEGIN] = "INSERT OR IGNORE INTO budget (cost, n_left) VALUES (?1, ?2)",
    [SQL_BUDGET_SET] = "INSERT OR REPLACE INTO budget (cost, n_left, since)"
                       " VALUES (?1, ?2, (SELECT coalesce(max(row), 0) FROM spend))",
    [SQL_BUDGET_RAISE] = "INSERT INTO budget (cost, n_left) VALUES (?1, ?2)"
                         " ON CONFLICT (cost) DO UPDATE SET n_left = excluded.n_left",
    [SQL_BUDGET_SAY] = "INSERT INTO budget_said (one, text) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE"
                       " SET text = excluded.text WHERE text <> excluded.text RETURNING one",
    [SQL_BUDGET_TAKE] = "UPDATE budget SET n_left = n_left - ?2 WHERE cost = ?1",
    [SQL_BUDGET_GIVE] = "UPDATE budget SET n_left = n_left + spend.n FROM spend"
                        " WHERE spend.row = ?1 AND budget.cost = spend.cost AND spend.row > budget.since",
    [SQL_SPEND_ADD] = "INSERT INTO spend (time, cost, n, operation, name, digest, entry, uid, pid, program)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING row",
    [SQL_SPEND_SINCE] = "SELECT coalesce(sum(n), 0) FROM spend"
                        " WHERE cost = ?1 AND state <> 3 AND (settled IS NULL OR settled > ?2)",
    [SQL_SPEND_GET] = "SELECT cost, digest FROM spend WHERE row = ?1 AND settled IS NULL",
    [SQL_SPEND_ACCEPTED] = "UPDATE spend SET request = ?2 WHERE row = ?1 AND settled IS NULL",
    [SQL_SPEND_SETTLE] =
        "UPDATE spend SET state = ?2, settled = 1 + (SELECT coalesce(max(settled), 0) FROM spend),"
        " request = coalesce(?3, request), verified = ?4, code = ?5, error = ?6, trace = ?7 WHERE row = ?1",
    [SQL_SPEND_MONTH] = "UPDATE spend SET month_used = ?2, month_limit = ?3 WHERE row = ?1",
    [SQL_SPEND_SEEN] = "SELECT coalesce(max(settled), 0) FROM spend",
    [SQL_SPEND_TRIES] = "SELECT code, error, trace, count(*) OVER () FROM spend"
                        " WHERE digest = ?1 AND forgiven = 0 AND verified = 0 AND state <> 3 ORDER BY row DESC LIMIT 1",
    [SQL_SPEND_FORGIVE] = "UPDATE spend SET forgiven = 1 WHERE digest = ?1 AND forgiven = 0 RETURNING row",
    [SQL_SPEND_OPEN] =
        "SELECT row, entry, digest, request IS NOT NULL FROM spend WHERE settled IS NULL ORDER BY row LIMIT ?1",
    [SQL_AUDIT_GET] = "SELECT seq, bytes FROM audit",
    [SQL_AUDIT_PUT] = "UPDATE audit SET seq = ?1, bytes = ?2",
    /* The library writes the JSON; its members are those of src/store/AUDIT.md. */
    [SQL_AUDIT_LINES] =
        "SELECT settled, json_object('seq', settled, 'time', strftime('%Y-%m-%dT%H:%M:%SZ', time, 'unixepoch'),"
        "  'operation', operation, 'sha256', nullif(lower(hex(digest)), ''), 'id', request, 'name', nullif(name, ''),"
        "  'outcome', CASE state WHEN 1 THEN 'paid' WHEN 2 THEN 'unsure' ELSE 'free' END,"
        "  'quota', iif(cost = 0, 'downloads', 'hunts'), 'cost', iif(state = 3, 0, n),"
        "  'verified', json(iif(digest IS NULL, 'null', iif(verified, 'true', 'false'))),"
        "  'uid', uid, 'pid', nullif(pid, 0), 'program', nullif(program, ''),"
        "  'month_used', month_used, 'month_limit', month_limit,"
        "  'reason', nullif(error, ''), 'trace', nullif(trace, ''))"
        " FROM spend WHERE settled > ?1 ORDER BY settled LIMIT ?2",
    [SQL_AUDIT_DENIED] =
        "SELECT 0, json_object('time', strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch'), 'operation', 'denied',"
        "  'sha256', lower(hex(?2)), 'cost', 0, 'uid', ?3, 'pid', nullif(?4, 0), 'program', nullif(?5, ''),"
        "  'reason', ?6)",

    [SQL_SENT_PUT] = "INSERT OR REPLACE INTO sent (request, digest, options, text) VALUES (?1, ?2, ?3, ?4)",
    [SQL_SENT_FIND] = "SELECT request.id, request.entry FROM sent JOIN request ON request.row = sent.request"
                      " WHERE sent.digest = ?1 ORDER BY request.state = 2, request.row DESC LIMIT 1",
    [SQL_SENT_TEXT] = "SELECT text FROM sent WHERE request = ?1",
    [SQL_SENT_OPTIONS] = "SELECT options FROM sent WHERE request = ?1",

    [SQL_REQUEST_PUT] =
        "INSERT INTO request (id, kind, state, n_limit, submitted, entry) VALUES (?1, ?2, 0, ?3, ?4, ?5)"
        " ON CONFLICT (id) DO UPDATE SET entry = coalesce(excluded.entry, entry),"
        "  n_limit = max(excluded.n_limit, n_limit), kind = iif(excluded.entry IS NULL, kind, excluded.kind)"
        " RETURNING row",
    [SQL_REQUEST_GET] = "SELECT " REQUEST_COLUMNS " FROM request WHERE id = ?1",
    [SQL_REQUEST_GET_ROW] = "SELECT " REQUEST_COLUMNS " FROM request WHERE row = ?1",
    [SQL_REQUEST_FINISH] =
        "UPDATE request SET state = ?2, finished = ?3, n_results = ?4, has_stats = ?5, clean = ?6, malware = ?7,"
        "  pua = ?8, total = ?9, unknown = ?10, error = ?11 WHERE row = ?1",
    [SQL_REQUEST_LIST] = "SELECT " REQUEST_COLUMNS " FROM request ORDER BY row",
    [SQL_REQUEST_LIST_UNFINISHED] = "SELECT " REQUEST_COLUMNS " FROM request WHERE state = 0 ORDER BY row",
    [SQL_REQUEST_LIST_ENTRY] = "SELECT " REQUEST_COLUMNS " FROM request WHERE entry = ?1"
                               " OR id = (SELECT entry.request FROM entry WHERE entry.row = ?1) ORDER BY row",
    [SQL_REQUEST_LIST_SAMPLE] =
        "SELECT " REQUEST_COLUMNS " FROM request WHERE row IN (SELECT result.request FROM result"
        " JOIN sample ON sample.row = result.sample WHERE sample.digest = ?1) ORDER BY row",
    [SQL_REQUEST_NOTE] = "UPDATE request SET note = ?2, refused = '' WHERE row = ?1 RETURNING row",
    [SQL_REQUEST_REFUSED] = "UPDATE request SET refused = ?2 WHERE row = ?1 RETURNING row",
    [SQL_REQUEST_DELETE] = "DELETE FROM request WHERE row = ?1 RETURNING row",
    [SQL_REQUEST_UNSHOW] = "UPDATE entry SET request = NULL, state = CASE state WHEN 3 THEN 0 ELSE state END"
                           " WHERE request = (SELECT id FROM request WHERE row = ?1)",
    [SQL_REQUEST_IS_MULTI] = "UPDATE request SET kind = ?2 WHERE row = ?1 AND state = 0 AND kind <> ?2 RETURNING row",
    [SQL_ASKED_ADD] = "INSERT INTO asked (request, position, digest, reason) VALUES (?1, ?2, ?3, ?4)",
    [SQL_ASKED_REASON] = "UPDATE asked SET reason = ?3 WHERE request = ?1 AND digest = ?2",
    [SQL_ASKED_LIST] =
        "SELECT digest, reason FROM asked WHERE request = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
    [SQL_INTENDED_ADD] = "INSERT OR IGNORE INTO intended (entry, digest) VALUES (?1, ?2)",
    [SQL_INTENDED_DROP] = "DELETE FROM intended WHERE entry = ?1",
    [SQL_ASKED_UNDER_WAY] = "SELECT request.id FROM asked JOIN request ON request.row = asked.request"
                            " WHERE asked.digest = ?1 AND asked.reason = '' AND request.state = 0"
                            " UNION ALL SELECT '' FROM intended JOIN entry ON entry.row = intended.entry"
                            " WHERE intended.digest = ?1 AND entry.state = 2 AND intended.entry <> ?2 LIMIT 1",
    [SQL_SAMPLE_ROW] = "INSERT INTO sample (digest, state) VALUES (?1, 3)"
                       " ON CONFLICT (digest) DO UPDATE SET state = state RETURNING row",
    [SQL_RAW_PUT] = "INSERT OR REPLACE INTO raw (request, answer) VALUES (?1, ?2)",
    [SQL_RAW_GET] = "SELECT answer FROM raw WHERE request = ?1",

    [SQL_RESULT_ADD] = "INSERT INTO result (request, position, sample) VALUES (?1, ?2, ?3)"
                       " ON CONFLICT (request, sample) DO NOTHING RETURNING position",
    /* CROSS JOIN fixes the order of the loops: a range of the primary key, then one row each. */
    [SQL_RESULT_PAGE] = "SELECT " SAMPLE_COLUMNS " FROM result CROSS JOIN sample ON sample.row = result.sample"
                        " WHERE result.request = ?1 AND result.position >= ?2 ORDER BY result.position LIMIT ?3",
    [SQL_RESULT_FAMILIES] = "SELECT coalesce(sample.family, '') FROM result JOIN sample ON sample.row = result.sample"
                            " WHERE result.request = ?1 GROUP BY 1 ORDER BY min(result.position)",
    [SQL_RESULT_LABELS] = "SELECT coalesce(sample.label, '') FROM result JOIN sample ON sample.row = result.sample"
                          " WHERE result.request = ?1 GROUP BY 1 ORDER BY min(result.position)",
    [SQL_RESULT_TYPES] = "SELECT coalesce(sample.filetype, '') FROM result JOIN sample ON sample.row = result.sample"
                         " WHERE result.request = ?1 GROUP BY 1 ORDER BY min(result.position)",
    [SQL_RESULT_YEARS] = "SELECT coalesce(strftime('%Y', sample.first_seen, 'unixepoch'), '') FROM result"
                         " JOIN sample ON sample.row = result.sample"
                         " WHERE result.request = ?1 GROUP BY 1 ORDER BY min(result.position)",
    [SQL_RESULT_HAS] = "SELECT 1 FROM sample CROSS JOIN result ON result.sample = sample.row"
                       " WHERE sample.digest = ?2 AND result.request = ?1",
};
