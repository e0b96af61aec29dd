-- The first format of the history. The tables are described in docs/history-format.md.

-- Single facts about the file.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- One row a run: what lists show and ask for.
CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trace BLOB NOT NULL,
    root INTEGER NOT NULL,
    parent INTEGER,
    begun INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    seen INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    duration_class INTEGER NOT NULL,
    status INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    spans INTEGER NOT NULL,
    logs INTEGER NOT NULL,
    nodes INTEGER NOT NULL,
    llm_calls INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    tokens_class INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    cost_class INTEGER NOT NULL,
    cost_calls BLOB NOT NULL,
    saved INTEGER NOT NULL,
    saved_calls BLOB NOT NULL,
    sampled INTEGER NOT NULL,
    payloads_gone INTEGER NOT NULL DEFAULT 0,
    model_set INTEGER,
    error TEXT,
    version TEXT,
    session TEXT,
    user TEXT,
    git_commit TEXT,
    tags TEXT,
    host TEXT,
    pid INTEGER,
    pid_started INTEGER
);
CREATE INDEX run_started ON run (started);
CREATE INDEX run_unwell ON run (status, started) WHERE status <> 1;
CREATE INDEX run_seen ON run (payloads_gone, seen);
CREATE INDEX run_session ON run (session, started) WHERE session IS NOT NULL;
CREATE INDEX run_user ON run (user, started) WHERE user IS NOT NULL;
CREATE INDEX run_commit ON run (git_commit, started) WHERE git_commit IS NOT NULL;

-- Runs by workflow (list 1), set of models (2), class of duration (3), of cost (4), of tokens (5): those whose numbers
-- begin with the segment's, 512 of them, in one row a place. The newest are not there yet, from the number `runs_listed`
-- on. No run in a row of the place with a lower segment began after `newest_before`.
CREATE TABLE run_list (
    list INTEGER,
    place,
    segment INTEGER,
    newest_before INTEGER NOT NULL,
    runs BLOB NOT NULL,
    PRIMARY KEY (list, place, segment)
) WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('runs_listed', 0);

-- The rows of runs by parts of their keys: the newest some thousand, and the others.
CREATE TABLE run_key_new (trace INTEGER, root INTEGER, run INTEGER, PRIMARY KEY (trace, root, run)) WITHOUT ROWID;
CREATE TABLE run_key (trace INTEGER, root INTEGER, run INTEGER, PRIMARY KEY (trace, root, run)) WITHOUT ROWID;
CREATE VIEW run_keys (key_trace, key_root, key_run) AS
    SELECT trace, root, run FROM run_key_new UNION ALL SELECT trace, root, run FROM run_key;

-- The large parts of a run's row.
CREATE TABLE run_detail (run INTEGER PRIMARY KEY, hashes BLOB NOT NULL, body BLOB NOT NULL);
-- Spans of a run that have begun and not ended.
CREATE TABLE run_open (run INTEGER PRIMARY KEY, hashes BLOB NOT NULL, body BLOB NOT NULL);
-- Models that were called together in runs: one name a line, in order.
CREATE TABLE model_set (id INTEGER PRIMARY KEY AUTOINCREMENT, models TEXT NOT NULL UNIQUE);
CREATE TABLE run_tag (key TEXT, value TEXT, run_started INTEGER, run INTEGER, PRIMARY KEY (key, value, run_started, run)) WITHOUT ROWID;

-- Names that occur again and again: nodes, models, providers, operations, classes of errors, workflows.
CREATE TABLE name (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE);

-- What up to some thousand spans have in common.
CREATE TABLE batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    spans INTEGER NOT NULL,
    start_min INTEGER NOT NULL,
    start_max INTEGER NOT NULL,
    payload_bytes INTEGER NOT NULL,
    firsts BLOB NOT NULL,
    sealed INTEGER NOT NULL DEFAULT 0,
    folded INTEGER NOT NULL DEFAULT 0,
    worded INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX batch_unworded ON batch (id) WHERE worded = 0;
CREATE INDEX batch_unsealed ON batch (id) WHERE sealed = 0;
CREATE INDEX batch_unfolded ON batch (id) WHERE folded = 0;
CREATE INDEX batch_time ON batch (start_max, start_min);
-- Their columns: those that filters and sums ask for come first, so that the rest need not be read.
CREATE TABLE batch_columns (
    batch INTEGER PRIMARY KEY,
    runs BLOB NOT NULL,
    "start" BLOB NOT NULL,
    "class" BLOB NOT NULL,
    "run" BLOB NOT NULL,
    "duration" BLOB NOT NULL,
    "model" BLOB NOT NULL,
    "provider" BLOB NOT NULL,
    "node" BLOB NOT NULL,
    "cost_status" BLOB NOT NULL,
    "cost" BLOB NOT NULL,
    "input" BLOB NOT NULL,
    "output" BLOB NOT NULL,
    "cache_read" BLOB NOT NULL,
    "cache_write" BLOB NOT NULL,
    "reasoning" BLOB NOT NULL,
    "saved_status" BLOB NOT NULL,
    "saved" BLOB NOT NULL,
    "error_type" BLOB NOT NULL,
    "operation" BLOB NOT NULL,
    "mutations" BLOB NOT NULL,
    "prompt_hash" BLOB NOT NULL,
    "span_id" BLOB NOT NULL,
    "parent" BLOB NOT NULL
);
-- Sums of folded batches, by half-hours, days and months: id = (level * 8 + section) << 40 | number of the period.
CREATE TABLE rollup (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
-- Hashes of the long texts that their payloads refer to; no row where there are none.
CREATE TABLE batch_content (batch INTEGER PRIMARY KEY, hashes BLOB NOT NULL);
-- Marks of the long texts that stand in the payloads of the newest batches: place = batch modulo 256.
CREATE TABLE recent_marks (place INTEGER PRIMARY KEY, batch INTEGER NOT NULL, marks BLOB NOT NULL);
-- Where the spans of a run stand.
CREATE TABLE batch_run (run INTEGER, batch INTEGER, first INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (run, batch)) WITHOUT ROWID;
-- What is not in columns, in compressed blocks of up to 48 spans: id = batch * 64 + block.
CREATE TABLE payload (id INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- Log lines, in compressed blocks.
CREATE TABLE log_block (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lines INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    level_max INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX log_block_time ON log_block (time_min);
CREATE INDEX log_block_newest ON log_block (id, time_max);
CREATE TABLE log_run (run INTEGER, block INTEGER, first INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (run, block)) WITHOUT ROWID;
CREATE INDEX log_run_block ON log_run (block);

-- Long texts and beginnings of message lists that occur more than once.
CREATE TABLE content (hash BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
-- What such a row refers to itself, and the way back.
CREATE TABLE content_part (hash BLOB PRIMARY KEY, needs BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE content_need (needs BLOB, hash BLOB, PRIMARY KEY (needs, hash)) WITHOUT ROWID;
-- What may be referred to by nobody since something had its time.
CREATE TABLE content_doubt (hash BLOB PRIMARY KEY) WITHOUT ROWID;

-- Which blocks of a batch hold which words: by itself (segment 0), or with others in a segment, in buckets
-- (id = segment * 512 + bucket). Batch -1 - n stands for the blocks of log lines from 64 * n on, 64 of them.
CREATE TABLE word_batch (batch INTEGER PRIMARY KEY, segment INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX word_loose ON word_batch (batch) WHERE segment = 0;
CREATE TABLE word_segment (id INTEGER PRIMARY KEY, batches BLOB NOT NULL, start_max INTEGER NOT NULL);
CREATE TABLE word_bucket (id INTEGER PRIMARY KEY, body BLOB NOT NULL);


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
