//! TLS, with certificates made on the spot.

use larder_core::{Cache, ErrorKind, Schemes};
use larder_tests::certificates;

use crate::private::{Kind, Server};

fn secured(kind: Kind) -> Server {
    Server::with(kind, |directory| {
        certificates(directory, "DNS:localhost");
        let file = |name: &str| directory.join(name).display().to_string();
        match kind {
            Kind::Postgres => [
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", file("cert.pem")),
                format!("ssl_key_file={}", file("key.pem")),
            ]
            .into_iter()
            .flat_map(|setting| ["-c".to_owned(), setting])
            .collect(),
            Kind::MariaDb => vec![
                format!("--ssl-cert={}", file("cert.pem")),
                format!("--ssl-key={}", file("key.pem")),
                format!("--ssl-ca={}", file("ca.pem")),
            ],
        }
    })
}

fn open(server: &Server, host: &str, options: &str) -> Result<Cache, larder_core::Error> {
    let scheme = if server.kind == Kind::Postgres { "postgres" } else { "mariadb" };
    let database = if server.kind == Kind::Postgres { "postgres" } else { "larder" };
    let schemes = Schemes::new().register(scheme, larder_sql::open);
    let port = server.port();
    schemes.open(&format!(
        "{scheme}://larder:hunter2@{host}:{port}/{database}?deadline=60s&breaker=off&{options}"
    ))
}

/// Whether the session that asks is encrypted, as the server sees it.
async fn encrypted(server: &Server, options: &str) -> bool {
    let url = format!("{}?{options}", server.url().replace("127.0.0.1", "localhost"));
    match server.kind {
        Kind::Postgres => {
            let pool = sqlx::PgPool::connect(&url).await.unwrap();
            let text = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            sqlx::query_scalar(text).fetch_one(&pool).await.unwrap()
        }
        Kind::MariaDb => {
            let pool = sqlx::MySqlPool::connect(&url).await.unwrap();
            let row: (String, String) =
                sqlx::query_as("SHOW STATUS LIKE 'Ssl_cipher'").fetch_one(&pool).await.unwrap();
            !row.1.is_empty()
        }
    }
}

async fn a_trusted_server_is_talked_to_and_another_one_is_not(kind: Kind) {
    let server = secured(kind);
    let ca = server.directory.path().join("ca.pem").display().to_string();
    for options in [
        format!("sslmode=verify-full&sslrootcert={ca}"),
        format!("sslmode=verify-ca&sslrootcert={ca}"),
        "sslmode=require".to_owned(),
        "sslmode=prefer".to_owned(),
    ] {
        let cache = open(&server, "localhost", &options).unwrap();
        cache.set("key", &options).tags(["t"]).await.unwrap();
        assert_eq!(cache.get::<String>("key").await.unwrap(), Some(options.clone()));
    }
    assert!(
        encrypted(
            &server,
            "sslmode=require"
                .replace("require", if kind == Kind::Postgres { "require" } else { "required" })
                .as_str()
        )
        .await
    );
    // The public authorities know nothing of ours.
    let error = open(&server, "localhost", "sslmode=verify-full").unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    // The certificate is one for localhost, not for this address.
    let by_address =
        |mode: &str| open(&server, "127.0.0.1", &format!("sslmode={mode}&sslrootcert={ca}")).unwrap();
    let error = by_address("verify-full").ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    by_address("verify-ca").ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_postgres_is_talked_to_and_another_one_is_not() {
    a_trusted_server_is_talked_to_and_another_one_is_not(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_mariadb_is_talked_to_and_another_one_is_not() {
    a_trusted_server_is_talked_to_and_another_one_is_not(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_not_talked_to_where_it_has_to_be() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let server = match kind {
            Kind::Postgres => Server::start(kind),
            Kind::MariaDb => Server::with(kind, |_| vec!["--skip-ssl".to_owned()]),
        };
        open(&server, "127.0.0.1", "sslmode=prefer").unwrap().ping().await.unwrap();
        let error = open(&server, "127.0.0.1", "sslmode=require").unwrap().ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("sslmode"), "{error}");
    }
}

#[test]
fn options_that_can_not_be_right_are_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage.pem");
    std::fs::write(&garbage, "nothing").unwrap();
    let (missing, garbage) = (directory.path().join("missing.pem"), garbage.display());
    let missing = missing.display();
    let schemes = Schemes::new().register("postgres", larder_sql::open).register("mysql", larder_sql::open);
    for scheme in ["postgres", "mysql"] {
        for (options, wanted) in [
            (format!("sslmode=verify-full&sslrootcert={missing}"), "can't be read"),
            (format!("sslmode=verify-full&sslrootcert={garbage}"), "no PEM file"),
            (format!("sslrootcert={garbage}"), "no PEM file"),
            ("sslmode=maybe".to_owned(), "verify-full"),
        ] {
            let error = schemes.open(&format!("{scheme}://u:hunter2@h/d?{options}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{scheme} {options}");
            assert!(error.to_string().contains(wanted), "{scheme} {options}: {error}");
        }
    }
    let pem = directory.path().join("some.pem");
    std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let pem = pem.display();
    for (options, wanted) in [
        (format!("sslrootcert={pem}"), "sslmode=verify-full"),
        (format!("sslmode=require&sslcert={pem}"), "sslkey"),
    ] {
        let error = schemes.open(&format!("postgres://u@h/d?{options}")).unwrap_err();
        assert!(error.to_string().contains(wanted), "{options}: {error}");
    }
}
