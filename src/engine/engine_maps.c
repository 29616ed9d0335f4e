#include "engine/engine_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct engine_maps {
    sqlite3_stmt *get;
    const struct engine_bytes *patterns;
    size_t n_patterns;
    int64_t id;                        /* of the map that pieces are of */
    uint32_t round;                    /* goes up with each map */
    uint32_t came_in[GRAM_PIECES_MAX]; /* the round that a piece was read in */
    uint8_t bits[GRAM_MAP_MAX];
};

int engine_maps_put_locked(struct engine_db *db, const struct digest *digest, const struct engine_gram *gram,
                           struct err *err)
{
    const void *key = digest->bytes;
    int r = engine_db_run(db, engine_db_bind(db, SQL_GRAM_PUT, "bi", key, (size_t)DIGEST_BYTES, (int64_t)gram->n), err);
    int64_t id;

    if (r < 0 || sqlite3_changes(db->sql) == 0)
        return r;
    id = sqlite3_last_insert_rowid(db->sql);
    for (size_t at = 0; r == 0 && at < gram->n; at += GRAM_PIECE) {
        const void *bits = gram->bits + at;
        size_t n = gram->n < GRAM_PIECE ? gram->n : GRAM_PIECE;

        r = engine_db_run(
            db, engine_db_bind(db, SQL_GRAM_PIECE, "ib", id * GRAM_PIECES_MAX + (int64_t)(at / GRAM_PIECE), bits, n),
            err);
    }
    return r;
}

static const uint8_t *piece_of(void *closure, size_t number)
{
    struct engine_maps *maps = closure;
    uint8_t *bits = maps->bits + number * GRAM_PIECE;
    const void *found;

    if (maps->came_in[number] == maps->round)
        return bits;
    (void)sqlite3_bind_int64(maps->get, 1, maps->id * GRAM_PIECES_MAX + (int64_t)number); /* cannot fail: reset */
    if (sqlite3_step(maps->get) == SQLITE_ROW) {
        size_t n = (size_t)sqlite3_column_bytes(maps->get, 0);

        found = sqlite3_column_blob(maps->get, 0);
        if (found && n <= GRAM_PIECE) {
            memcpy(bits, found, n);
            maps->came_in[number] = maps->round;
        }
    }
    (void)sqlite3_reset(maps->get); /* of an error we know nothing, which excludes nothing */
    return maps->came_in[number] == maps->round ? bits : NULL;
}

static void may_contain(sqlite3_context *context, int n_args, sqlite3_value **args)
{
    struct engine_maps *maps = sqlite3_user_data(context);
    struct engine_gram_map map = { .n = (size_t)sqlite3_value_int64(args[1]), .piece = piece_of, .closure = maps };
    bool may = true;

    assert(n_args == 2);
    (void)n_args;
    maps->id = sqlite3_value_int64(args[0]);
    if (++maps->round == 0) { /* four thousand million samples later */
        memset(maps->came_in, 0, sizeof maps->came_in);
        maps->round = 1;
    }
    for (size_t i = 0; may && i < maps->n_patterns; i++)
        may = engine_gram_may_contain(&map, maps->patterns[i].data, maps->patterns[i].n);
    sqlite3_result_int(context, may);
}

int engine_maps_new(sqlite3 *sql, const struct engine_bytes *patterns, size_t n_patterns, struct engine_maps **ret_maps,
                    struct err *err)
{
    cleanup_(engine_maps_freep) struct engine_maps *maps = calloc(1, sizeof *maps);

    if (!maps)
        return err_set(err, ENOMEM, "no memory to search");
    maps->patterns = patterns;
    maps->n_patterns = n_patterns;
    if (sqlite3_prepare_v2(sql, "SELECT bits FROM gram_piece WHERE key = ?1", -1, &maps->get, NULL) != SQLITE_OK ||
        sqlite3_create_function(sql, "may_contain", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, maps, may_contain, NULL,
                                NULL) != SQLITE_OK)
        return err_set(err, EIO, "list samples: %s", sqlite3_errmsg(sql));
    *ret_maps = steal_ptr(&maps);
    return 0;
}

void engine_maps_free(struct engine_maps *maps)
{
    if (!maps)
        return;
    sqlite3_finalizep(&maps->get);
    free(maps);
}
