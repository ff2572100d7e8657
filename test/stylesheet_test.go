package test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What LiveView's client does with the element: on a page that is open, it takes the new one in its place, and carries out phx-mounted.
const page = `<!doctype html><html><head>
<link rel="stylesheet" href="/assets/app-old.css?vsn=d"><link rel="stylesheet" href="/assets/app-dark-old.css">
<link rel="preload" as="style" href="/assets/app-old.css?vsn=d">
<script src="/assets/app-old.js"></script></head>
<body><div id="view">OLD</div><pre id="told"></pre>
<template id="next">NEW</template>
<script>
const mounted = el => JSON.parse(el.getAttribute("phx-mounted")).forEach(([op, args]) => {
  if (op !== "set_attr") throw op
  document.querySelectorAll(args.to).forEach(e => e.setAttribute(args.attr[0], args.attr[1]))
})
const color = () => getComputedStyle(document.body).color
onload = () => {
  const view = document.getElementById("view"), told = [color()], first = view.firstElementChild
  mounted(first)
  const next = document.getElementById("next").content.firstElementChild.cloneNode(true)
  if (next.id === first.id) throw "the same element"
  const until = Date.now() + 20000
  const look = () => {
    if (color() === told[0] && Date.now() < until) return setTimeout(look, 20)
    told.push(color(), ...[...document.querySelectorAll("link,script[src]")].map(e => e.getAttribute("href") || e.getAttribute("src")))
    document.getElementById("told").textContent = told.join(" | ")
    fetch("/told", {method: "POST", body: told.join("\n")})
  }
  view.replaceChild(next, first); mounted(next); look()
}
</script></body></html>`

// The element as the component renders it for a view whose endpoint has digested files of that version.
const render = `
defmodule Phoenix.LiveView.Rendered, do: defstruct [:static, :dynamic, :fingerprint, :root]
for version <- ["old", "new"] do
  defmodule Module.concat(Endpoint, version) do
    @version version
    def static_path("/assets/app.css"), do: "/assets/app-#{@version}.css?vsn=d"
    def static_url, do: "https://cdn.example.com"
    def config(:cache_static_manifest_latest), do: %{"assets/app-dark.css" => "assets/app-dark-old.css"}
  end
  assigns = %{socket: %{endpoint: Module.concat(Endpoint, version)}}
  %{static: [first | rest], dynamic: dynamic} = FlyDeploy.Components.hot_reload_css(assigns)
  IO.puts([first | Enum.zip_with(dynamic.(false), rest, &[&1, &2])])
end`

func TestAnOpenPageTakesTheNewStylesheet(t *testing.T) {
	browser := os.Getenv("FLYDEPLOY_BROWSER")
	if browser == "" {
		t.Skip("make test-browser runs it in a browser")
	}
	old, next := rendered(t)
	var mu sync.Mutex
	var asked []string
	told := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, strings.NewReplacer("OLD", old, "NEW", next).Replace(page))
		case "/assets/app-old.css", "/assets/app-new.css":
			w.Header().Set("Content-Type", "text/css")
			fmt.Fprintf(w, "body { color: %s }", map[bool]string{true: "rgb(1, 1, 1)", false: "rgb(2, 2, 2)"}[strings.Contains(r.URL.Path, "old")])
		case "/told":
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			told <- body.String()
		}
	}))
	defer server.Close()
	cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", server.URL+"/")
	cmd.Dir = t.TempDir()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var lines []string
	select {
	case text := <-told:
		lines = strings.Split(text, "\n")
	case <-time.After(2 * time.Minute):
		t.Fatalf("the page says nothing:\n%s", out.String())
	}
	want := []string{
		"rgb(1, 1, 1)", "rgb(2, 2, 2)",
		"/assets/app-new.css?vsn=d", "/assets/app-dark-old.css", "/assets/app-new.css?vsn=d", "/assets/app-old.js",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the page says %q, want %q", lines, want)
	}
	mu.Lock()
	defer mu.Unlock()
	// The first mounting has changed nothing, so nothing was fetched twice.
	if n := len(slices.DeleteFunc(slices.Clone(asked), func(p string) bool { return p != "/assets/app-old.css" })); n != 1 {
		t.Errorf("the old stylesheet was fetched %d times: %q", n, asked)
	}
}

func rendered(t *testing.T) (old, next string) {
	t.Helper()
	cmd := exec.Command("mix", "run", "--no-start", "-e", render)
	cmd.Dir = filepath.Join("..", "elixir")
	cmd.Env = append(os.Environ(), "MIX_ENV=test")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	elements := regexp.MustCompile(`(?m)^<div.*</div>$`).FindAllString(string(out), -1)
	if len(elements) != 2 {
		t.Fatalf("two elements are rendered, not:\n%s", out)
	}
	return elements[0], elements[1]
}
