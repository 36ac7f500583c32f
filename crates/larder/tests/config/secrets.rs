//! Passwords: where they may stand, and where they never show.

use std::fs;

use larder::Dummy;
use larder::config::Loader;

use super::{read, refused};

/// A loader whose `server:` caches check the password they get.
fn loader(variables: &[(&str, &str)]) -> Loader {
    let schemes = larder::Schemes::new().register("server", |url| {
        let right = url.authority() == Some("u:p%40ss%20%2F%25@h:1");
        match url.take("other_password").as_deref() {
            None | Some("s%20") if right => Ok(Dummy),
            _ => Err(larder::Error::config("the password is another one")),
        }
    });
    Loader::new().schemes(schemes).variables(variables.iter().copied())
}

#[test]
fn a_password_may_stand_apart_and_needs_no_escapes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "p@ss /%\n").unwrap();
    fs::write(folder.path().join("windows"), "p@ss /%\r\n").unwrap();
    let config = folder.path().join("caches.toml");
    for line in [
        "password = 'p@ss /%'",
        "password_env = 'SECRET'",
        "password_file = 'secret'",
        "password_file = 'windows'",
        "password_file = '${FOLDER}/secret'",
        "password = 'p@ss /%'\nother_password = 's%20'",
        "password = 'p@ss /%'\nother_password_env = 'OTHER'",
    ] {
        fs::write(&config, format!("[default]\nurl = 'server://u@h:1'\n{line}")).unwrap();
        let folder = folder.path().to_str().unwrap();
        let loader = loader(&[("SECRET", "p@ss /%"), ("OTHER", "s%20"), ("FOLDER", folder)]);
        loader.file(&config).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    fs::write(&config, "[default]\nurl = 'server://u@h:1'\npassword = '${SECRET}'").unwrap();
    let error = loader(&[("SECRET", "p@ss /%")]).file(&config).unwrap_err().to_string();
    assert!(error.contains("another one"), "a password is taken as it is: {error}");
}

#[test]
fn a_password_of_the_environment_goes_with_its_url_or_replaces_that_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "p@ss /%").unwrap();
    let config = folder.path().join("caches.toml");
    fs::write(&config, "[default]\nurl = 'server://u@h:1'\npassword_env = 'NOT_SET'").unwrap();
    let (secret, config) = (secret.to_str().unwrap(), config.to_str().unwrap());
    let url = ("LARDER_URL", "server://u@h:1");
    for variables in [
        [url, ("LARDER_PASSWORD", "p@ss /%")],
        [url, ("LARDER_PASSWORD_FILE", secret)],
        [url, ("LARDER_DEFAULT_PASSWORD", "p@ss /%")],
        [("LARDER_CONFIG", config), ("LARDER_PASSWORD", "p@ss /%")],
    ] {
        loader(&variables).environment().unwrap_or_else(|error| panic!("{variables:?}: {error}"));
    }
    for (variables, named) in [
        (&[url, ("LARDER_PASSWORD", "hunter2"), ("LARDER_PASSWORD_FILE", secret)][..], "said twice"),
        (&[url, ("LARDER_PASSWORD", "")], "is empty"),
        (&[url, ("LARDER_PASSWORD_FILE", "/nowhere/secret")], "/nowhere/secret can't be read"),
        (&[("LARDER_URL", "memory:"), ("LARDER_PASSWORD", "hunter2")], "names no server"),
    ] {
        let error = Loader::new().variables(variables.iter().copied()).environment().unwrap_err();
        assert!(
            error.to_string().contains("LARDER_PASSWORD") && error.to_string().contains(named),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_wrong_password_setting_names_its_line_and_shows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    let with = |lines: &str| format!("[default]\nurl = 'redis://h'\n{lines}");
    for (text, named) in [
        (with("password_env = 'NOT_SET'"), &[":3:", "NOT_SET is not set"][..]),
        (with("password_env = 'hunter2'"), &[":3:", "password_env", "stands as password"]),
        (with("password_file = '/nowhere/hunter'"), &[":3:", "/nowhere/hunter can't be read"]),
        (with(&format!("password_file = '{}'", empty.display())), &[":3:", "password_file is empty"]),
        (with("password = ''"), &[":3:", "password is empty"]),
        (with("password = 'hunter2'\npassword_env = 'A'"), &[":4:", "password is said twice", ":3"]),
        ("[default]\nurl = 'redis://u:hunter2@h'\npassword = 'hunter2'".into(), &[":3:", "twice"]),
        ("[default]\nurl = 'memory:'\npassword = 'hunter2'".into(), &[":3:", "names no server"]),
        ("[default]\nurl = 'file:///tmp/a'\npassword = 'hunter2'".into(), &[":3:", "names no server"]),
        ("[default]\nurl = 'memory:?password=hunter2'".into(), &[":2:", "before its server"]),
        // What is not TOML is not shown either.
        ("[default]\npassword = 'hunter2\nurl = 'memory:'".into(), &[":2:", "not TOML"]),
        ("[default]\nurl = 'redis://h'\npassword = hunter2".into(), &[":3:", "not TOML"]),
        ("[default]\nurl = 'redis://h' password = 'hunter2'".into(), &[":2:", "not TOML"]),
        ("[default]\npassword = 'hunter2'\npassword = 'hunter2'".into(), &[":3:", "not TOML"]),
        ("[default]\npassword = ['hunter2']".into(), &[":2:", "is array"]),
        ("password = 'hunter2'".into(), &[":1:", "no table"]),
    ] {
        let error = refused(&text, named);
        assert!(!error.contains("hunter2"), "{error}");
        let error = format!("{:?}", read(&text, &[]).unwrap_err());
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// A URL of each scheme that can have a password.
pub(crate) const WITH_PASSWORD: [&str; 13] = [
    "redis+cluster://u:hunter2@h:6379,h2:6379",
    "rediss+cluster://u:hunter2@h:6379,h2:6379",
    "mysql://u:hunter2@h:3306/database",
    "mariadb://u:hunter2@h:3306/database",
    "redis://u:hunter2@h:6379/1",
    "redis+unix://:hunter2@/run/redis.sock",
    "redis+sentinel://u:hunter2@h:26379/master/1?sentinel_password=hunter2",
    "rediss://u:hunter2@h:6379/1",
    "rediss+sentinel://u:hunter2@h:26379/master/1?sentinel_password=hunter2",
    "postgres://u:hunter2@h:5432/database",
    "postgresql://u:hunter2@h:5432/database",
    "memcached://u:hunter2@h:11211",
    "memcached+unix://u:hunter2@/run/memcached.sock",
];

#[test]
fn no_backend_shows_a_password_in_its_debug_output_or_in_an_error() {
    let schemes = larder::schemes();
    for url in WITH_PASSWORD {
        let mut shown = match schemes.builder(url) {
            Ok(builder) => {
                let shown = format!("{builder:?}");
                shown + &format!("{:?}", builder.build())
            }
            Err(error) => format!("{error} {error:?}"),
        };
        let sign = if url.contains('?') { '&' } else { '?' };
        for wrong in
            ["x=1", "timeout=x", "deadline=0", "prefix=:", "connect_timeout=0", "version=1&version=2", "db=x"]
        {
            let url = format!("{url}{sign}{wrong}");
            if let Err(error) = schemes.open(&url) {
                shown += &format!("{error} {error:?}");
            }
            let text = format!("[default]\nurl = '{url}'");
            match read(&text, &[]) {
                Err(error) => shown += &format!("{error} {error:?}"),
                Ok(config) => shown += &format!("{config:?} {:?}", config.site_layer()),
            }
        }
        for misspelt in [
            url.replace("//", "/"),
            url.replace("hunter2", "hunter2/"),
            url.replace("hunter2", "hunter2?"),
            url.replace('@', "@:"),
            url.replace('/', ""),
        ] {
            match schemes.builder(&misspelt) {
                Ok(builder) => shown += &format!("{builder:?}"),
                Err(error) => shown += &format!("{error} {error:?}"),
            }
        }
        assert!(!shown.contains("hunter2"), "{url}: {shown}");
    }
}

#[test]
fn a_loader_shows_no_variable() {
    let loader = Loader::new().variables([("LARDER_PASSWORD", "hunter2")]);
    assert!(!format!("{loader:?}").contains("hunter2"));
}
