//! Faults of stores that are places on a disk.

use super::load::Load;

const OPTIONS: &str = "cooldown=200ms";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_whose_files_are_removed_is_filled_again() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("cache");
    let load = Load::on(&format!("file://{}?{OPTIONS}", directory.display()));
    for _ in 0..3 {
        load.hits().await;
        // As somebody does who wants room: files are written while it goes on.
        _ = std::fs::remove_dir_all(&directory);
        load.go_on(100).await;
    }
    load.hits().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_file_that_another_program_locks_costs_few_attempts_and_is_written_to_again() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let file = place.path().join("cache.db");
    let load = Load::on(&format!("sqlite://{}?{OPTIONS}", file.display()));
    for _ in 0..2 {
        load.hits().await;
        load.cost();
        let other = rusqlite::Connection::open(&file).expect("the file");
        other.busy_timeout(std::time::Duration::from_secs(60)).expect("a setting");
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        load.go_on(300).await;
        load.cost().report("locked");
        other.execute_batch("DELETE FROM larder_cache; COMMIT").expect("what was locked is emptied");
    }
    load.hits().await;
    load.end().await;
}
