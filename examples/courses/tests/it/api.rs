//! The API: what is served from the cache, to whom, and until when.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Stage;

const LIST: &str = "/api/courses";

pub(crate) async fn a_list_and_a_course_are_made_once_and_then_served_from_the_cache(stage: &mut Stage) {
    let visitor = stage.anonymous();
    for path in [LIST, "/api/courses/7"] {
        let (first, second) = (visitor.get(path).await, visitor.get(path).await);
        assert!(first.cache.contains("; stored; ttl=900"), "{path}: {}", first.cache);
        assert!(second.was_there() && second.text == first.text, "{path}: {}", second.cache);
    }
    let list = visitor.get(LIST).await.json();
    assert_eq!((&list["count"], &list["page"], &list["page_size"]), (&12.into(), &1.into(), &5.into()));
    assert_eq!(list["results"][0]["title"], "Rust from the beginning");
    assert_eq!(visitor.get("/api/courses/99").await.status, StatusCode::NOT_FOUND);
}

pub(crate) async fn the_second_page_is_not_the_first_and_a_filter_is_not_another(stage: &mut Stage) {
    let visitor = stage.anonymous();
    let pages = [
        ("", "Rust from the beginning", 5),
        ("?page=2", "Databases", 5),
        ("?page=3", "Logic", 2),
        ("?page=2&perpage=2", "Python for scientists", 2),
        ("?level=beginner", "Rust from the beginning", 4),
        ("?subject=mathematics", "Linear algebra", 5),
        ("?search=rust", "Rust from the beginning", 2),
        ("?search=mathematics&level=advanced", "Number theory", 2),
    ];
    for hit in [false, true] {
        for (query, first, found) in pages {
            let page = visitor.get(&format!("{LIST}{query}")).await;
            assert_eq!((page.titles()[0].as_str(), page.titles().len()), (first, found), "{query}");
            assert_eq!(page.was_there(), hit, "{query}: {}", page.cache);
        }
    }
    assert_eq!(visitor.get("/api/courses?page=4").await.status, StatusCode::NOT_FOUND);
    assert_eq!(visitor.get("/api/courses?search=%25").await.json()["count"], 0, "a percent sign is one");
}

pub(crate) async fn spellings_of_one_query_are_one_page(stage: &mut Stage) {
    let visitor = stage.anonymous();
    let first = visitor.get("/api/courses?search=Rust&level=beginner").await;
    assert!(!first.was_there() && first.titles() == ["Rust from the beginning"]);
    for query in [
        "level=beginner&search=rust",
        "search=RUST&level=Beginner",
        "search=+rust+&level=beginner&page=1",
        "utm_source=x&search=rust&level=beginner&subject=",
        "search=python&search=rust&level=beginner",
    ] {
        let again = visitor.get(&format!("{LIST}?{query}")).await;
        assert!(again.was_there() && again.text == first.text, "{query}: {}", again.cache);
    }
    assert!(!visitor.get("/api/courses?search=rust").await.was_there());
}

pub(crate) async fn a_query_that_makes_no_sense_is_refused_and_kept_nowhere(stage: &mut Stage) {
    let visitor = stage.anonymous();
    for query in ["level=expert", "page=0", "page=two", "perpage=-1"] {
        for _ in 0..2 {
            let answer = visitor.get(&format!("{LIST}?{query}")).await;
            assert!(answer.status == StatusCode::BAD_REQUEST && !answer.was_there(), "{query}: {answer:?}");
            assert!(answer.text.contains(query), "{}", answer.text);
        }
    }
}

pub(crate) async fn two_users_never_see_each_others_page(stage: &mut Stage) {
    let (ada, grace) = (stage.logged_in("ada").await, stage.logged_in("grace").await);
    let nobody = stage.anonymous();
    // Course 1 is Ada's, course 2 is Grace's.
    for round in 0..3 {
        for (visitor, yours) in [(&ada, [true, false]), (&grace, [false, true]), (&nobody, [false, false])] {
            let list = visitor.get(LIST).await;
            let shown = [&list.json()["results"][0]["yours"], &list.json()["results"][1]["yours"]];
            assert_eq!(shown, [&yours[0], &yours[1]], "{round}");
            let one = visitor.get("/api/courses/1").await;
            assert_eq!(one.json()["yours"], yours[0], "{round}");
            assert_eq!((list.was_there(), one.was_there()), (round > 0, round > 0), "{}", list.cache);
        }
    }
}

pub(crate) async fn who_is_logged_in_leaves_the_pages_of_everybody_else_alone(stage: &mut Stage) {
    let (ada, nobody) = (stage.logged_in("ada").await, stage.anonymous());
    ada.get("/api/courses/1").await;
    assert!(!nobody.get("/api/courses/1").await.was_there());
    assert!(stage.anonymous().get("/api/courses/1").await.was_there());
    // A cookie that is nobody's gets what everybody gets, and never what is Ada's.
    let mut stranger = stage.anonymous();
    stranger.cookie = Some(format!("{}x", ada.cookie.as_deref().unwrap()));
    assert_eq!(stranger.get("/api/courses/1").await.json()["yours"], false);
}

pub(crate) async fn editing_course_seven_leaves_course_eight_where_it_is(stage: &mut Stage) {
    let (ada, nobody) = (stage.logged_in("ada").await, stage.anonymous());
    let shown = [LIST, "/api/courses?page=2", "/api/courses/7", "/api/courses/8"];
    for visitor in [&ada, &nobody] {
        for path in shown {
            visitor.get(path).await;
        }
    }
    let changed = ada.rename(7, "Deep learning").await;
    assert!(changed.status.is_success() && changed.json()["title"] == "Deep learning", "{changed:?}");
    for visitor in [&ada, &nobody] {
        assert!(visitor.get("/api/courses/8").await.was_there());
        let seven = visitor.get("/api/courses/7").await;
        assert!(!seven.was_there() && seven.json()["title"] == "Deep learning", "{seven:?}");
        let list = visitor.get("/api/courses?page=2").await;
        assert!(!list.was_there() && list.titles()[1] == "Deep learning", "{list:?}");
    }
}

pub(crate) async fn a_new_course_drops_the_lists_and_no_detail(stage: &mut Stage) {
    let (ada, nobody) = (stage.logged_in("ada").await, stage.anonymous());
    for path in [LIST, "/api/courses?search=logic", "/api/courses/7"] {
        nobody.get(path).await;
    }
    let draft = json!({ "title": "Modal logic", "level": "advanced", "subject": "mathematics" });
    let made = ada.write(Method::POST, LIST, draft).await;
    assert_eq!(
        (made.status, &made.json()["id"], &made.json()["yours"]),
        (StatusCode::CREATED, &13.into(), &true.into())
    );
    assert!(nobody.get("/api/courses/7").await.was_there());
    let list = nobody.get(LIST).await;
    assert!(!list.was_there() && list.json()["count"] == 13);
    assert_eq!(nobody.get("/api/courses?search=logic").await.titles(), ["Logic", "Modal logic"]);
    assert_eq!(nobody.get("/api/courses/13").await.json()["title"], "Modal logic");
}

pub(crate) async fn a_deleted_course_is_gone_and_not_its_old_page(stage: &mut Stage) {
    let (ada, nobody) = (stage.logged_in("ada").await, stage.anonymous());
    for path in ["/api/courses?page=2", "/api/courses/7", "/api/courses/8"] {
        nobody.get(path).await;
    }
    let deleted = ada.write(Method::DELETE, "/api/courses/7", json!(null)).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    for _ in 0..2 {
        assert_eq!(nobody.get("/api/courses/7").await.status, StatusCode::NOT_FOUND);
    }
    assert!(nobody.get("/api/courses/8").await.was_there());
    assert_eq!(nobody.get("/api/courses?page=2").await.titles()[1], "Linear algebra");
    assert_eq!(ada.rename(7, "x").await.status, StatusCode::NOT_FOUND);
}

pub(crate) async fn a_change_that_is_rolled_back_leaves_the_cache_alone(stage: &mut Stage) {
    let (ada, nobody) = (stage.logged_in("ada").await, stage.anonymous());
    for path in [LIST, "/api/courses/1"] {
        nobody.get(path).await;
    }
    for (level, subject) in [("beginner", "astrology"), ("expert", "programming")] {
        let draft = json!({ "title": "Half a change", "level": level, "subject": subject });
        let refused = ada.write(Method::PUT, "/api/courses/1", draft.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert_eq!(ada.write(Method::POST, LIST, draft).await.status, StatusCode::BAD_REQUEST);
    }
    for path in [LIST, "/api/courses/1"] {
        assert!(nobody.get(path).await.was_there(), "{path}");
    }
    assert_eq!(ada.get("/api/courses/1").await.json()["title"], "Rust from the beginning");
}

pub(crate) async fn a_write_without_a_login_or_by_another_changes_nothing(stage: &mut Stage) {
    let (grace, nobody) = (stage.logged_in("grace").await, stage.anonymous());
    nobody.get("/api/courses/1").await;
    for (visitor, status) in [(&nobody, StatusCode::UNAUTHORIZED), (&grace, StatusCode::FORBIDDEN)] {
        assert_eq!(visitor.rename(1, "Mine").await.status, status);
        assert_eq!(visitor.write(Method::DELETE, "/api/courses/1", json!(null)).await.status, status);
    }
    let draft = json!({ "title": "x", "level": "beginner", "subject": "programming" });
    assert_eq!(nobody.write(Method::POST, LIST, draft).await.status, StatusCode::UNAUTHORIZED);
    let there = nobody.get("/api/courses/1").await;
    assert!(there.was_there() && there.json()["title"] == "Rust from the beginning");
}
