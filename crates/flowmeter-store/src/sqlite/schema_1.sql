-- The first format of the history. The tables are described in docs/history-format.md.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Budgets across runs. A rule, its account in each period, and what calls that go on hold of it.
-- Amounts are nano-dollars, times are nanoseconds since the epoch.
CREATE TABLE budget_rule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL,          -- all, workflow, model or tag
    name TEXT NOT NULL,           -- of the workflow or model, or the tag's key
    value TEXT NOT NULL,          -- the tag's value
    period TEXT NOT NULL,         -- hour, day, week or month
    limit_nanos INTEGER NOT NULL,
    hard INTEGER NOT NULL,
    utc_offset_s INTEGER NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (scope, name, value, period)
);
CREATE TABLE budget_account (
    id INTEGER PRIMARY KEY,
    rule INTEGER NOT NULL,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    spent INTEGER NOT NULL DEFAULT 0,
    withheld INTEGER NOT NULL DEFAULT 0,  -- may be spent: nobody counted it
    reserved INTEGER NOT NULL DEFAULT 0,  -- the sum of its rows in budget_hold
    calls INTEGER NOT NULL DEFAULT 0,
    unpriced INTEGER NOT NULL DEFAULT 0,
    marked INTEGER NOT NULL DEFAULT 0,    -- the percentage that was last warned of
    UNIQUE (rule, begins)
);
-- When in the period it was spent, in parts of it, for forecasts.
CREATE TABLE budget_part (
    account INTEGER NOT NULL,
    part INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    PRIMARY KEY (account, part)
) WITHOUT ROWID;
CREATE TABLE budget_reservation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    made INTEGER NOT NULL,
    host TEXT,
    pid INTEGER,
    started INTEGER
);
CREATE TABLE budget_hold (
    reservation INTEGER NOT NULL,
    account INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (reservation, account)
) WITHOUT ROWID;
