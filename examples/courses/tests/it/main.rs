//! The catalogue over real sockets, with its pages in memory and on Redis.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod api;
mod browser;
mod pages;
mod stage;

use stage::{Stage, Visitor};

/// The same on PostgreSQL, where queries and constraints are spelled the same and mean a bit more.
mod postgres {
    use super::{Stage, api, pages};

    #[tokio::test]
    async fn it_is_served_changed_and_rolled_back_as_on_sqlite() {
        let mut stage = Stage::on_postgres().await;
        api::the_second_page_is_not_the_first_and_a_filter_is_not_another(&mut stage).await;
        api::a_change_that_is_rolled_back_leaves_the_cache_alone(&mut stage).await;
        api::editing_course_seven_leaves_course_eight_where_it_is(&mut stage).await;
        api::a_write_without_a_login_or_by_another_changes_nothing(&mut stage).await;
        pages::the_top_authors_are_kept_until_a_course_comes_or_goes(&mut stage).await;
    }
}

/// Each of these on each cache.
macro_rules! on_each_cache {
    ($($topic:ident::$test:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$topic::$test(&mut super::Stage::in_memory().await).await;
            })+
        }

        mod redis {
            $(#[tokio::test]
            async fn $test() {
                let mut stage = super::Stage::on_redis(stringify!($test)).await;
                super::$topic::$test(&mut stage).await;
                stage.clean().await;
            })+
        }
    };
}

on_each_cache! {
    api::a_list_and_a_course_are_made_once_and_then_served_from_the_cache,
    api::the_second_page_is_not_the_first_and_a_filter_is_not_another,
    api::spellings_of_one_query_are_one_page,
    api::a_query_that_makes_no_sense_is_refused_and_kept_nowhere,
    api::two_users_never_see_each_others_page,
    api::who_is_logged_in_leaves_the_pages_of_everybody_else_alone,
    api::editing_course_seven_leaves_course_eight_where_it_is,
    api::a_new_course_drops_the_lists_and_no_detail,
    api::a_deleted_course_is_gone_and_not_its_old_page,
    api::a_change_that_is_rolled_back_leaves_the_cache_alone,
    api::a_write_without_a_login_or_by_another_changes_nothing,
    pages::a_login_lasts_until_the_logout_and_its_id_is_new,
    pages::a_wrong_password_is_no_login,
    pages::the_top_authors_are_kept_until_a_course_comes_or_goes,
    pages::the_greeting_is_for_one_visitor_only,
    pages::what_a_title_says_is_shown_and_not_run,
}
