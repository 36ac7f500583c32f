//! Django, with one view under `cache_page` and no middleware, behind gunicorn.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::entrants::{Ground, pinned};
use crate::{servers::process::Process, workspace::root};

/// Which cache it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    None,
    LocMem,
    Redis,
}

/// What the environment is made of.
const PACKAGES: [&str; 3] = ["django~=5.2", "gunicorn~=23.0", "redis~=6.0"];

const APP: &str = r#"
import os
from django.conf import settings

cache = os.environ["BENCH_CACHE"]
kind = "redis.RedisCache" if cache.startswith("redis") else "locmem.LocMemCache"
settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[],
    CACHES={"default": {"BACKEND": "django.core.cache.backends." + kind, "LOCATION": cache}},
)
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_page

RUNS = 0
BODY = b"x" * 1024
HEADERS = {"Content-Language": "en", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}

def page(request):
    global RUNS
    RUNS += 1
    return HttpResponse(BODY, headers=HEADERS)

def runs(request):
    return HttpResponse(str(RUNS))

cached = page if cache == "none" else cache_page(900)(page)
urlpatterns = [path("page", cached), path("runs", runs)]
application = get_wsgi_application()
"#;

/// A Python that has Django, made once and kept beside cargo's output.
///
/// # Errors
/// When there is no Python with `venv`, or the packages can't be had.
pub(super) fn python() -> Result<PathBuf> {
    let folder = root().join("target").join("bench-django");
    let python = folder.join("bin/python");
    if imports(&python) {
        return Ok(python);
    }
    eprintln!("making an environment with {}", PACKAGES.join(", "));
    quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    quiet(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES),
    )?;
    ensure!(imports(&python), "Django is installed in {} and can't be imported", folder.display());
    Ok(python)
}

fn imports(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import django, gunicorn, redis"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn quiet(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("running {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", errors.lines().last().unwrap_or_default());
    Ok(())
}

/// Starts gunicorn: one worker process with four threads, on the servers' core.
///
/// # Errors
/// When there is no Django, or no Redis where it wants one.
pub(super) fn start(ground: &Ground, backend: Backend, port: u16) -> Result<Process> {
    let python = ground.python.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    let cache = match backend {
        Backend::None => "none".to_owned(),
        Backend::LocMem => "locmem".to_owned(),
        Backend::Redis => {
            format!("redis://127.0.0.1:{}/3", ground.redis.context("redis-server is not installed")?)
        }
    };
    fs::write(ground.folder.join("bench_app.py"), APP)?;
    let mut command = pinned(python, ground.core);
    command
        .current_dir(&ground.folder)
        .env("BENCH_CACHE", cache)
        .args(["-m", "gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", "4"])
        .args(["--keep-alive", "60", "--bind", &format!("127.0.0.1:{port}"), "bench_app:application"]);
    Process::start(&mut command, ground.log(&format!("django-{port}")))
}
