-- The database as prelabel made it before it had migrations, with rows in every table.

CREATE TABLE webhook_events (
    id INTEGER NOT NULL,
    received_at DATETIME NOT NULL,
    project_id INTEGER,
    action VARCHAR(64) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_webhook_events_digest_received_at ON webhook_events (digest, received_at);
CREATE INDEX ix_webhook_events_project_id ON webhook_events (project_id);

CREATE TABLE label_counts (
    project_id INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (project_id)
);

CREATE TABLE review_findings (
    project_id INTEGER NOT NULL,
    finding_id VARCHAR(16) NOT NULL,
    record JSON NOT NULL,
    is_current BOOLEAN NOT NULL,
    decision VARCHAR(16),
    decided_at DATETIME,
    PRIMARY KEY (project_id, finding_id)
);

CREATE TABLE runs (
    id INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    state VARCHAR(16) NOT NULL,
    slot VARCHAR(32),
    requested_at DATETIME NOT NULL,
    requested_by VARCHAR(64) NOT NULL,
    started_at DATETIME,
    finished_at DATETIME,
    stage VARCHAR(32),
    step INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    seconds_left DOUBLE,
    reason TEXT,
    snapshot_digest VARCHAR(64),
    accepted INTEGER,
    version VARCHAR(64),
    host VARCHAR(255),
    process_id INTEGER,
    heartbeat DATETIME,
    furthest INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (slot)
);
CREATE INDEX ix_runs_project_id ON runs (project_id);

CREATE TABLE versions (
    id INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    run_id INTEGER,
    created_at DATETIME NOT NULL,
    digest VARCHAR(64) NOT NULL,
    sha256 VARCHAR(64),
    snapshot_digest VARCHAR(64) NOT NULL,
    labels JSON NOT NULL,
    judgement JSON NOT NULL,
    "plan" JSON NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (project_id, number),
    UNIQUE (run_id)
);

CREATE TABLE promotions (
    id INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    version_id INTEGER,
    promoted_at DATETIME NOT NULL,
    reason TEXT NOT NULL,
    published_at DATETIME,
    refreshed_at DATETIME,
    PRIMARY KEY (id),
    FOREIGN KEY(version_id) REFERENCES versions (id)
);
CREATE INDEX ix_promotions_project_id_id ON promotions (project_id, id);

INSERT INTO webhook_events (received_at, project_id, action, digest, payload) VALUES
    ('2026-11-21 12:00:00.000000', 3, 'ANNOTATION_CREATED', 'd1', '{"action": "ANNOTATION_CREATED"}'),
    ('2026-11-21 12:00:01.500000', NULL, '', 'd2', 'null');
INSERT INTO label_counts VALUES (3, 17), (4, 0);
INSERT INTO review_findings VALUES
    (3, 'f1', '{"kind": "missing"}', true, 'dismissed', '2026-11-21 12:00:00.000000'),
    (3, 'f2', '{"kind": "odd"}', false, NULL, NULL);
INSERT INTO runs (project_id, state, slot, requested_at, requested_by, started_at, finished_at, stage, step, steps,
                  seconds_left, reason, snapshot_digest, accepted, version, host, process_id, heartbeat, furthest,
                  starts, cancel_requested) VALUES
    (3, 'promoted', NULL, '2026-11-21 12:00:00.000000', '20 labels', '2026-11-21 12:00:01.000000',
     '2026-11-21 12:05:00.000000', 'promoting', 1, 1, NULL, 'saves time', 'abc', 20, 'p3-v1', 'laptop', NULL,
     '2026-11-21 12:05:00.000000', 300000001, 0, false),
    (3, 'queued', '3 queued', '2026-11-21 13:00:00.000000', 'Start Training', NULL, NULL, NULL, 0, 0, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, -1, 0, false);
INSERT INTO versions (project_id, number, run_id, created_at, digest, sha256, snapshot_digest, labels, judgement,
                      "plan", reason) VALUES
    (3, 1, 1, '2026-11-21 12:05:00.000000', 'd', 'e', 'abc', '["apple", "banana"]', '{}', '{"epochs": 3}',
     'saves time'),
    (3, 2, NULL, '2026-11-21 12:06:00.000000', 'f', NULL, 'abc', '["apple"]', '{}', '{}', 'saves none');
INSERT INTO promotions (project_id, version_id, promoted_at, reason, published_at, refreshed_at) VALUES
    (3, 1, '2026-11-21 12:05:01.000000', 'saves time', '2026-11-21 12:05:02.000000', '2026-11-21 12:05:03.000000'),
    (4, NULL, '2026-11-21 12:07:00.000000', 'rollback', NULL, NULL);
