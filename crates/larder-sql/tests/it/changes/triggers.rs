//! Triggers: what any program changes.

use larder_core::ErrorKind;
use larder_sql::changes::{Relay, Triggers};

use super::{App, Database, Slow, each, fill, has, memory};
use crate::unique;

each! {
    what_any_program_changes_goes_to_the_outbox_by_its_tags
    a_change_that_is_rolled_back_says_nothing
    they_are_installed_once_replaced_by_others_and_taken_away
    names_and_texts_may_be_of_any_kind
    what_can_not_be_is_told_by_its_name_and_nothing_is_installed
    the_text_for_a_migration_does_the_same
    a_change_drops_what_was_cached
}

fn triggers(app: &App) -> Triggers {
    Triggers::on_table(&app.table).tag("course:{id}").tag("course_list")
}

async fn what_any_program_changes_goes_to_the_outbox_by_its_tags(app: App) {
    let table = &app.table;
    let triggers = triggers(&app).tag("school:{school}/{id}");
    triggers.install(&app.outbox).await.unwrap();
    app.run(&format!("INSERT INTO {table} (id, school) VALUES (1, 'north'), (2, NULL)")).await;
    assert_eq!(
        app.take().await,
        ["course:1", "course:2", "course_list", "school:north/1"],
        "null names nothing"
    );
    app.run(&format!("UPDATE {table} SET title = 'x' WHERE id = 1")).await;
    assert_eq!(app.take().await, ["course:1", "course_list", "school:north/1"]);
    app.run(&format!("UPDATE {table} SET id = 3, school = 'south' WHERE id = 1")).await;
    assert_eq!(
        app.take().await,
        ["course:1", "course:3", "course_list", "school:north/1", "school:south/3"],
        "as it was and as it is"
    );
    app.run(&format!("UPDATE {table} SET id = 9 WHERE id = 99")).await;
    assert!(app.take().await.is_empty(), "nothing changed");
    app.run(&format!("DELETE FROM {table}")).await;
    assert_eq!(app.take().await, ["course:2", "course:3", "course_list", "school:south/3"]);
}

async fn a_change_that_is_rolled_back_says_nothing(app: App) {
    triggers(&app).install(&app.outbox).await.unwrap();
    let insert = format!("INSERT INTO {} (id) VALUES (1)", app.table);
    app.run(&format!("BEGIN; {insert}; ROLLBACK")).await;
    assert!(app.waiting().await.is_empty());
    app.run(&format!("BEGIN; {insert}; COMMIT")).await;
    assert_eq!(app.take().await, ["course:1", "course_list"]);
}

/// The triggers on the application's table.
async fn there(app: &App) -> Vec<String> {
    let table = &app.table;
    app.ask(&match &app.database {
        Database::Postgres(_) => format!("SELECT tgname::text FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal"),
        Database::MySql(_) => format!("SELECT CONVERT(TRIGGER_NAME USING utf8mb4) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE = '{table}'"),
        Database::Sqlite(_) => format!("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = '{table}'"),
    })
    .await
}

async fn they_are_installed_once_replaced_by_others_and_taken_away(app: App) {
    let insert = format!("INSERT INTO {} (id) VALUES (1)", app.table);
    let first = triggers(&app);
    first.install(&app.outbox).await.unwrap();
    let installed = there(&app).await;
    let kinds = if matches!(app.database, Database::Postgres(_)) { 4 } else { 3 };
    assert_eq!(installed.len(), kinds);
    first.install(&app.outbox).await.unwrap();
    assert_eq!(there(&app).await, installed);

    let other = app.outbox.clone().table(unique("other")).unwrap();
    other.create_table().await.unwrap();
    triggers(&app).install(&other).await.unwrap();
    assert_eq!(there(&app).await.len(), 2 * kinds, "those of another outbox stand beside them");

    let second = Triggers::on_table(&app.table).tag("new:{id}");
    second.install(&app.outbox).await.unwrap();
    assert_eq!(there(&app).await.len(), 2 * kinds);
    app.run(&insert).await;
    assert_eq!(app.take().await, ["new:1"]);
    assert_eq!(first.uninstall(&app.outbox).await.unwrap(), kinds, "whatever they say");
    assert_eq!(first.uninstall(&app.outbox).await.unwrap(), 0);
    app.run(&insert).await;
    assert!(app.take().await.is_empty());
    assert_eq!(there(&app).await.len(), kinds);
}

async fn names_and_texts_may_be_of_any_kind(mut app: App) {
    let (quote, back) = match app.database {
        Database::MySql(_) => ('`', "``"),
        _ => ('"', "\"\""),
    };
    app.table = format!("{}\"`'; DROP TABLE x; --$larder$ ä", unique("odd"));
    let column = "na\"m`e' $larder$";
    let quoted = |name: &str| format!("{quote}{}{quote}", name.replace(quote, back));
    app.run(&format!("CREATE TABLE {} ({} varchar(200))", quoted(&app.table), quoted(column))).await;
    let odd =
        Triggers::on_table(&app.table).tag(format!("it's a\"b`c\\{{{{x}}}} $larder$ %s ? $1:{{{column}}}"));
    odd.install(&app.outbox).await.unwrap();
    odd.install(&app.outbox).await.unwrap();
    app.run(&format!("INSERT INTO {} VALUES ('o''clock ä')", quoted(&app.table))).await;
    assert_eq!(app.take().await, ["it's a\"b`c\\{x} $larder$ %s ? $1:o'clock ä"]);
    assert!(odd.uninstall(&app.outbox).await.unwrap() > 0);
    app.run(&format!("DROP TABLE {}", quoted(&app.table))).await;
}

async fn what_can_not_be_is_told_by_its_name_and_nothing_is_installed(app: App) {
    let no_outbox = app.outbox.clone().table("none_such").unwrap();
    for (triggers, outbox, named) in [
        (triggers(&app).tag("{idd}"), &app.outbox, "\"idd\""),
        (Triggers::on_table(&app.table), &app.outbox, "no tag"),
        (triggers(&app).tag("course:{id"), &app.outbox, "\"course:{id\""),
        (Triggers::on_table("none_such").tag("t"), &app.outbox, "none_such"),
        (Triggers::on_table("").tag("t"), &app.outbox, "\"\""),
        (triggers(&app), &no_outbox, "none_such"),
    ] {
        let error = triggers.install(outbox).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(named), "{error}");
    }
    assert!(there(&app).await.is_empty());
    let only = triggers(&app).notify_only();
    match app.database {
        Database::Postgres(_) => {
            let mute = app.outbox.clone().broadcast(false);
            assert_eq!(only.install(&mute).await.unwrap_err().kind(), ErrorKind::Config);
        }
        _ => assert_eq!(only.install(&app.outbox).await.unwrap_err().kind(), ErrorKind::Config),
    }
}

async fn the_text_for_a_migration_does_the_same(app: App) {
    let (table, insert) = (&app.table, format!("INSERT INTO {} (id) VALUES (1)", app.table));
    let triggers = triggers(&app);
    app.run(&triggers.sql(&app.outbox).unwrap()).await;
    app.run(&insert).await;
    assert_eq!(app.take().await, ["course:1", "course_list"]);
    let installed = there(&app).await;
    triggers.install(&app.outbox).await.unwrap();
    assert_eq!(there(&app).await, installed, "they are what is wanted");
    app.run(&triggers.uninstall_sql(&app.outbox).unwrap()).await;
    assert!(there(&app).await.is_empty(), "{table}");
    app.run(&insert).await;
    assert!(app.take().await.is_empty());
}

async fn a_change_drops_what_was_cached(app: App) {
    let cache = memory();
    triggers(&app).install(&app.outbox).await.unwrap();
    app.run(&format!("INSERT INTO {} (id, title) VALUES (1, 'a'), (2, 'b')", app.table)).await;
    app.take().await;
    fill(&cache, &["course:1", "course:2", "course_list"]).await;
    let slow = Slow::begin(&cache, "course:7").await;
    app.run(&format!("UPDATE {} SET title = 'new', id = 7 WHERE id = 1", app.table)).await;
    let relay = Relay::new(&app.outbox, &cache);
    assert!(relay.flush().await.unwrap() >= 2);
    assert!(
        !has(&cache, "course:1").await && !has(&cache, "course_list").await && has(&cache, "course:2").await
    );
    slow.end().await;
    assert!(!has(&cache, "course:7").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_says_each_tag_of_a_statement_once_and_sees_a_truncate() {
    let app = App::postgres().await;
    triggers(&app).install(&app.outbox).await.unwrap();
    app.run(&format!("INSERT INTO {} (id) SELECT i / 2 FROM generate_series(0, 3999) AS i", app.table)).await;
    assert_eq!(app.waiting().await.len(), 2001);
    app.take().await;
    app.run(&format!("TRUNCATE {}", app.table)).await;
    assert_eq!(app.waiting().await.len(), 2001);
}

/// A program with another search path, with no rights on the outbox, and with a trap in its own temporary schema.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_lets_every_program_change_that_may_change_the_table() {
    let app = App::postgres().await;
    let (table, out, role) = (&app.table, app.outbox_table(), unique("larder_role"));
    triggers(&app).install(&app.outbox).await.unwrap();
    app.run(&format!("CREATE ROLE {role}; GRANT INSERT ON {table} TO {role}")).await;
    app.run(&format!(
        "BEGIN; SET LOCAL ROLE {role}; CREATE TEMP TABLE {out} (tag text); SET LOCAL search_path = pg_temp, pg_catalog; SET LOCAL datestyle = 'SQL, DMY'; \
         INSERT INTO public.{table} (id) VALUES (1); COMMIT; DROP TABLE IF EXISTS pg_temp.{out}"
    ))
    .await;
    assert_eq!(app.take().await, ["course:1", "course_list"]);
    app.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_writes_times_in_one_form_whatever_the_session() {
    let app = App::postgres().await;
    let table = unique("talk");
    app.run(&format!("CREATE TABLE {table} (at timestamptz, day date)")).await;
    Triggers::on_table(&table).tag("{at}|{day}").install(&app.outbox).await.unwrap();
    app.run(&format!(
        "BEGIN; SET LOCAL datestyle = 'SQL, DMY'; SET LOCAL timezone = 'Asia/Tokyo'; INSERT INTO {table} VALUES ('2024-05-06 07:08:09+00', '2024-05-06'); COMMIT"
    ))
    .await;
    assert_eq!(app.take().await, ["2024-05-06 07:08:09+00|2024-05-06"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_may_install_at_the_same_time() {
    for app in [App::postgres().await, App::mysql().await, App::sqlite().await] {
        let install = || {
            let (triggers, outbox) = (triggers(&app), app.outbox.clone());
            tokio::spawn(async move { triggers.install(&outbox).await })
        };
        for done in [install(), install(), install(), install()] {
            done.await.unwrap().unwrap();
        }
        app.run(&format!("INSERT INTO {} (id) VALUES (1)", app.table)).await;
        assert_eq!(app.take().await, ["course:1", "course_list"]);
    }
}
