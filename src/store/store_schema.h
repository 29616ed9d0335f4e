/*
 * store_schema -- the tables of state.db and how older ones become this. Internal.
 *
 * A migration is a row of a table and one transaction; PRAGMA user_version says which ran. Rows are only appended.
 * Errors     a database of a newer program is EOPNOTSUPP and is left alone.
 */
#pragma once

#include "store/store_db.h"

/* Brings the database to the newest version. Two processes may try at the same time. */
CHECKED int store_schema_migrate(struct store_db *db, struct err *err);

/* The newest version. */
int store_schema_newest(void);
