#include "store/store_internal.h"

/* What stands in memory is newer than what stands on disk: archives are replaced. */
const enum store_kind store_kind_order[STORE_KINDS] = { STORE_MEMORY, STORE_SEALED, STORE_PLAIN };

const struct store_kind_row *store_kind_row(enum store_kind kind)
{
    static const struct store_kind_row rows[STORE_KINDS] = {
        [STORE_SEALED] = { .place = &store_place_disk, .form = &store_form_sealed },
        [STORE_PLAIN] = { .place = &store_place_disk, .form = &store_form_plain },
        [STORE_MEMORY] = { .place = &store_place_memory, .form = &store_form_sealed }, /* memory can be swapped out */
    };

    return &rows[kind];
}

/* Where a new object goes. The bytes of an archive have no digest that is known, so only a seal can show damage. */
enum store_kind store_kind_for(const struct store *store, enum store_shelf shelf)
{
    return store->kind == STORE_PLAIN && shelf == SHELF_ARCHIVES ? STORE_SEALED : store->kind;
}
