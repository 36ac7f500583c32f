CREATE TABLE IF NOT EXISTS users (id KEY!, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS subjects (id KEY!, slug TEXT NOT NULL UNIQUE, title TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS courses (
    id KEY!,
    title TEXT NOT NULL CHECK (title <> ''),
    description TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('beginner', 'intermediate', 'advanced')),
    subject_id BIGINT NOT NULL REFERENCES subjects (id),
    author_id BIGINT NOT NULL REFERENCES users (id)
);
