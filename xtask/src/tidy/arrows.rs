//! Which crate may use which: the arrows point down only.

use crate::workspace::{Dependency, Package};

/// What each crate under `crates/` may use of ours. What only its tests use is its own affair.
const ARROWS: &[(&str, &[&str])] = &[
    ("larder-core", &[]),
    ("larder-http", &[]),
    ("larder-macros", &[]),
    // Backends know nothing of each other.
    ("larder-memory", &["larder-core"]),
    ("larder-file", &["larder-core"]),
    ("larder-redis", &["larder-core"]),
    ("larder-memcached", &["larder-core"]),
    ("larder-sql", &["larder-core"]),
    ("larder-tiered", &["larder-core"]),
    ("larder-testkit", &["larder-core"]),
    ("larder-fragment", &["larder-core"]),
    // The engine; memory is the cache of a layer that was given none.
    ("larder-tower", &["larder-core", "larder-http", "larder-memory"]),
    ("larder-site", &["larder-core", "larder-tower"]),
    ("larder-page", &["larder-core", "larder-tower"]),
    ("larder-session", &["larder-core", "larder-tower"]),
    ("larder-admin", &["larder-core", "larder-tower"]),
    (
        "larder",
        &[
            "larder-admin",
            "larder-core",
            "larder-file",
            "larder-fragment",
            "larder-http",
            "larder-macros",
            "larder-memcached",
            "larder-memory",
            "larder-page",
            "larder-redis",
            "larder-session",
            "larder-site",
            "larder-sql",
            "larder-tiered",
            "larder-tower",
        ],
    ),
    ("larder-cli", &["larder"]),
];

/// All that the pure crate may use of others.
const HTTP_MAY_USE: &[&str] = &["bytes", "crc32fast", "form_urlencoded", "http", "httpdate", "smallvec"];

/// What the heart may not know: HTTP, a framework, a driver.
const CORE_MAY_NOT_USE: &[&str] = &[
    "axum",
    "axum-core",
    "fred",
    "http",
    "http-body",
    "http-body-util",
    "hyper",
    "hyper-util",
    "moka",
    "quick_cache",
    "redis",
    "reqwest",
    "rusqlite",
    "sqlx",
    "tower",
    "tower-http",
    "tower-layer",
    "tower-service",
];

/// Without them the engine's keys would be blind to nested routers, and pages would merge.
const TOWER_NEEDS_OF_AXUM: &[&str] = &["matched-path", "original-uri"];

pub(super) fn check(packages: &[Package]) -> Vec<String> {
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    let rooms =
        packages.iter().filter(|package| package.folder.parent().is_some_and(|p| p.ends_with("crates")));
    rooms.flat_map(|package| complaints(package, ours)).collect()
}

fn complaints(package: &Package, ours: impl Fn(&str) -> bool) -> Vec<String> {
    let name = package.name.as_str();
    let used: Vec<&Dependency> = package.dependencies.iter().filter(|dependency| !dependency.dev).collect();
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![format!(
            "{name} has no line in ARROWS of xtask/src/tidy/arrows.rs: add what it may use"
        )];
    };
    let mut complaints = Vec::new();
    for dependency in &used {
        let to = dependency.name.as_str();
        if ours(to) && !allowed.contains(&to) {
            complaints.push(format!(
                "{name} uses {to}, which is not below it: move what both need into a crate below, or hand it in from above"
            ));
        }
        if name == "larder-core" && CORE_MAY_NOT_USE.contains(&to) {
            complaints.push(format!("larder-core uses {to}: it knows no HTTP, no framework and no driver; put this into the adapter"));
        }
        if name == "larder-http" && !HTTP_MAY_USE.contains(&to) {
            complaints.push(format!(
                "larder-http uses {to}: its functions are pure; it may use {} only",
                HTTP_MAY_USE.join(", ")
            ));
        }
    }
    if name == "larder-tower" && !sees_nested_routers(&used) {
        complaints.push(format!(
            "larder-tower has to use axum, never optional, with {}: without them pages of nested routers would merge",
            TOWER_NEEDS_OF_AXUM.join(" and ")
        ));
    }
    complaints
}

fn sees_nested_routers(used: &[&Dependency]) -> bool {
    let axum = used.iter().find(|dependency| dependency.name == "axum" && !dependency.optional);
    axum.is_some_and(|axum| {
        TOWER_NEEDS_OF_AXUM.iter().all(|feature| axum.features.iter().any(|f| f == feature))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(name: &str, to: &[&str]) -> Package {
        let dependency = |to: &&str| Dependency {
            name: (*to).to_owned(),
            dev: false,
            optional: false,
            features: Vec::new(),
        };
        Package {
            name: name.to_owned(),
            folder: format!("/w/crates/{name}").into(),
            dependencies: to.iter().map(dependency).collect(),
            features: Vec::new(),
            has_library: true,
        }
    }

    fn complaints_about(package: &Package) -> Vec<String> {
        complaints(package, |name| ARROWS.iter().any(|(ours, _)| *ours == name))
    }

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_a_complaint() {
        assert!(
            complaints_about(&uses("larder-core", &["larder-tower"]))[0]
                .contains("larder-core uses larder-tower")
        );
        assert_eq!(complaints_about(&uses("larder-memory", &["larder-file"])).len(), 1);
        assert!(complaints_about(&uses("larder-memory", &["larder-core", "quick_cache"])).is_empty());
    }

    #[test]
    fn the_heart_knows_no_http_and_the_pure_crate_nothing_but_values() {
        assert!(complaints_about(&uses("larder-core", &["http"]))[0].contains("knows no HTTP"));
        assert!(complaints_about(&uses("larder-http", &["tokio"]))[0].contains("pure"));
        assert!(
            complaints_about(&uses("larder-http", &["http", "bytes", "smallvec", "crc32fast"])).is_empty()
        );
    }

    #[test]
    fn examples_and_tools_may_use_what_they_like() {
        let mut delay = uses("delay", &["larder-core"]);
        assert!(check(std::slice::from_ref(&delay))[0].contains("no line in ARROWS"));
        delay.folder = "/w/examples/delay".into();
        assert!(check(&[delay]).is_empty());
    }

    #[test]
    fn what_only_tests_use_may_point_anywhere() {
        let mut core = uses("larder-core", &["larder-testkit"]);
        core.dependencies[0].dev = true;
        assert!(complaints_about(&core).is_empty());
    }

    #[test]
    fn a_crate_without_a_line_has_to_get_one() {
        assert!(complaints_about(&uses("larder-new", &[]))[0].contains("no line in ARROWS"));
    }

    #[test]
    fn the_engine_may_not_lose_sight_of_the_original_uri() {
        let mut tower = uses("larder-tower", &["axum"]);
        assert_eq!(complaints_about(&tower).len(), 1);
        tower.dependencies[0].features = vec!["original-uri".to_owned(), "matched-path".to_owned()];
        assert!(complaints_about(&tower).is_empty());
        tower.dependencies[0].optional = true;
        assert_eq!(complaints_about(&tower).len(), 1);
    }

    #[test]
    fn the_table_itself_has_no_circle() {
        fn below(name: &str, depth: usize) -> bool {
            let line = ARROWS.iter().find(|(from, _)| *from == name);
            depth < ARROWS.len() && line.is_none_or(|(_, to)| to.iter().all(|to| below(to, depth + 1)))
        }
        assert!(ARROWS.iter().all(|(name, _)| below(name, 0)));
    }
}
