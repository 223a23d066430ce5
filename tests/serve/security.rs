//! Who may ask for what.

use super::serve::Serve;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn with_token() -> (Serve, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let serve = Serve::start(folder.path(), &["pattern:ball", "--token-file", token.to_str().unwrap()]);
    (serve, folder)
}

#[test]
fn without_the_token_there_is_a_login_and_nothing_else() {
    let (serve, _folder) = with_token();
    for path in ["/api/cameras", "/api/events", "/api/wall?cameras=ball", "/metrics", "/app.js", "/api/none"]
    {
        assert_eq!(serve.get(path).status, 401, "{path}");
    }
    for path in ["/live", "/ready"] {
        assert_eq!(serve.get(path).status, 200, "{path}");
    }
    let page = serve.get("/");
    assert!(
        page.status == 401 && page.text().contains("type=\"password\"") && !page.text().contains("app.js")
    );
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(serve.ask("GET", "/api/cameras", &[("Authorization", &bearer)], "").status, 200);
    assert_eq!(serve.ask("GET", "/api/cameras", &[("Authorization", "Bearer 0123")], "").status, 401);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(serve.ask("POST", "/login", &form, "token=wrong").status, 401);
    let login = serve.ask("POST", "/login", &form, &format!("token={TOKEN}"));
    assert_eq!(login.status, 303);
    let cookie = login.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(serve.ask("GET", "/", &[("Cookie", cookie)], "").status, 200);
}

#[test]
fn names_and_pages_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &["pattern:ball", "--host", "cameras.example"]);
    let host = |name: &str| serve.ask("GET", "/api/cameras", &[("Host", name)], "").status;
    assert_eq!(
        [host("evil.example"), host(""), host("cameras.example"), host("localhost")],
        [403, 403, 200, 200]
    );
    let body = r#"{"name": "a", "source": "pattern:ball"}"#;
    let add = |origin: &str| {
        let headers = [("Content-Type", "application/json"), ("Origin", origin)];
        serve.ask("POST", "/api/cameras", &headers, body).status
    };
    assert_eq!([add("http://evil.example"), add("null")], [403, 403]);
    assert_eq!(add(&format!("http://{}", serve.address)), 201);
    // A form of another page can't be JSON.
    assert_eq!(serve.ask("POST", "/api/cameras", &[("Content-Type", "text/plain")], body).status, 415);
    let page = serve.get("/");
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[]);
    for path in ["/", "/app.js", "/style.css"] {
        let text = serve.get(path).text();
        // The name of a kind of document, and the names of what may be linked to.
        let text = text.replace("http://www.w3.org/2000/svg", "").replace("/^https?:/", "");
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("\"//"), "{path}");
        assert!(!text.is_empty());
    }
}

#[test]
fn paths_and_bodies_have_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[]);
    for path in
        ["/../etc/passwd", "/%2e%2e/etc/passwd", "/api/cameras/..%2f..%2fetc", "/api/cameras/%ff", "/x"]
    {
        let status = serve.get(path).status;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    let large = format!(r#"{{"name": "a", "source": "{}"}}"#, "x".repeat(100_000));
    assert_eq!(
        serve.ask("POST", "/api/cameras", &[("Content-Type", "application/json")], &large).status,
        413
    );
    let line = format!("/?{}", "x".repeat(200_000));
    let status = serve.get(&line).status;
    assert!((400..500).contains(&status), "{status}");
    assert_eq!(serve.get("/live").status, 200);
}
