-- The first format of the history. The tables are described in docs/history-format.md.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
