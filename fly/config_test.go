package fly_test

import (
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flydeploy/fly"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// configForms are the same configuration in the forms that flyctl takes.
var configForms = map[string]string{
	"fly.toml": `app = "counter" # a comment
primary_region = 'ams'
[build.args]
  A = "1"
[deploy]
  release_command = "bin/migrate"
[env]
  AWS_BUCKET = "counter-staging"
  PORT = 8_080
  DEBUG = true
  RATIO = 1.5
[[services]]
  internal_port = 8080
`,
	"fly.json": `{"app": "counter", "primary_region": "ams", "build": {"args": {"A": "1"}}, "deploy": {"release_command": "bin/migrate"},
"env": {"AWS_BUCKET": "counter-staging", "PORT": 8080, "DEBUG": true, "RATIO": 1.5}, "services": [{"internal_port": 8080}]}`,
	"fly.yaml": `# a comment
app: counter
primary_region: ams
deploy: {release_command: bin/migrate}
env:
  AWS_BUCKET: &bucket counter-staging
  PORT: 8080
  DEBUG: true
  RATIO: 1.5
services:
  - internal_port: 8080
`,
}

func TestLoadConfigInEveryForm(t *testing.T) {
	t.Parallel()
	want := map[string]string{"AWS_BUCKET": "counter-staging", "PORT": "8080", "DEBUG": "true", "RATIO": "1.5"}
	for name, text := range configForms {
		got, err := fly.LoadConfig(file(t, name, text))
		if err != nil || got.App != "counter" || !maps.Equal(got.Env, want) || got.ReleaseCommand != "bin/migrate" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, as := range map[string]string{"staging.YML": "fly.yaml", "FLY.JSON": "fly.json", "prod.conf": "fly.toml"} {
		if got, err := fly.LoadConfig(file(t, name, configForms[as])); err != nil || got.App != "counter" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestConfigNamesAnImageInPlaceOfABuild(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"fly.toml": "app = 'a'\n[build]\nimage = 'host/shop:1'", "fly.json": `{"build": {"image": "host/shop:1"}}`, "fly.yaml": "build:\n  image: host/shop:1\n",
	} {
		if got, err := fly.LoadConfig(file(t, name, text)); err != nil || got.Image != "host/shop:1" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, text := range map[string]string{
		"fly.toml": "[build]\nimage = ['x']", "fly.json": "{\n\"build\": {\"image\": 1}}", "fly.yaml": "a: 1\nbuild: [x]",
	} {
		if _, err := fly.LoadConfig(file(t, name, text)); err == nil || !strings.Contains(err.Error(), name+":2: image in [build] is not a string") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Editors of Windows begin a file with a mark.
func TestConfigWithAByteOrderMark(t *testing.T) {
	t.Parallel()
	for name, text := range configForms {
		if got, err := fly.LoadConfig(file(t, name, "\xef\xbb\xbf"+text)); err != nil || got.App != "counter" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestMissingConfigOffersThoseOfEnvironments(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a [new] app")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "fly.toml")
	if _, err := fly.LoadConfig(missing); !strings.Contains(err.Error(), "fly launch") {
		t.Errorf("an empty folder: %v", err)
	}
	for _, name := range []string{"fly.staging.toml", "fly-prod.json", "flydeploy.toml", "fly.toml.bak"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := fly.LoadConfig(missing)
	wantProblem(t, err, "no_config")
	want := "--config " + filepath.Join(dir, "fly-prod.json") + ", or --config " + filepath.Join(dir, "fly.staging.toml") + "."
	if !strings.HasSuffix(err.Error(), want) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestEmptyConfigNamesNoApp(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"fly.toml": "", "fly.json": "{}", "fly.yaml": "", "fly.yml": "env:\n"} {
		if got, err := fly.LoadConfig(file(t, name, text)); err != nil || got.App != "" || len(got.Env) != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestFindConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := fly.FindConfig(dir); got != filepath.Join(dir, "fly.toml") {
		t.Errorf("an empty folder: %s", got)
	}
	for _, name := range []string{"fly.yml", "fly.yaml", "fly.json", "fly.toml"} { // each goes before the last
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := fly.FindConfig(dir); got != filepath.Join(dir, name) {
			t.Errorf("with %s: %s", name, got)
		}
	}
}

func TestBrokenConfigIsAProblemWithItsLine(t *testing.T) {
	t.Parallel()
	_, err := fly.LoadConfig(filepath.Join(t.TempDir(), "fly.toml"))
	wantProblem(t, err, "no_config")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, broken := range []struct{ name, text, says string }{
		{"fly.toml", "app = \"counter\"\n[env\n", "fly.toml:2:"},
		{"fly.toml", "\n\napp = 5\n", "fly.toml:3:"},
		{"fly.toml", "[env]\n  A = 1\n  B = [1]\n", "fly.toml:3: B in [env]"},
		{"fly.toml", "[env]\n  A = 1\n\n[env.B]\nc = 1\n", "fly.toml:4: B in [env]"},
		{"fly.toml", "app = \"a\"\nenv = 5\n", "fly.toml:2:"},
		{"fly.json", "{\n\"app\": \"counter\",\n}", "fly.json:3:"},
		{"fly.json", "{\n\"app\": 5}", "fly.json:2: app is not a string"},
		{"fly.json", "{\"env\": {\n\"A\": 1,\n\"B\": [1]}}", "fly.json:3: B in [env]"},
		{"fly.json", "{\"env\": {\n\"B\": null}}", "fly.json:2: B in [env]"},
		{"fly.json", "", "fly.json:1:"},
		{"fly.toml", "app = 'a'\n[deploy]\nrelease_command = ['a']\n", "fly.toml:3: release_command in [deploy] is not a string\n"},
		{"fly.json", "{\"deploy\": {\n\"release_command\": 5}}", "fly.json:2: release_command in [deploy] is not a string\n"},
		{"fly.yaml", "app: a\ndeploy: 5\n", "fly.yaml:2: release_command in [deploy] is not a string\n"},
		{"fly.toml", "app = ['a']\n", "fly.toml:1: app is not a string\n"},
		{"fly.toml", "\n[app]\nname = 'a'\n", "fly.toml:2: app is not a string\n"},
		{"fly.toml", "app = 'a'\n[[env]]\nA = 1\n", "fly.toml:2: env is not a table of variables\n"},
		{"fly.toml", "\xff\xfea\x00p\x00p\x00", "UTF-16: save it as UTF-8"},
		{"fly.json", "{\"env\": 5}", "fly.json:1: env is not a table of variables\n"},
		{"fly.json", "[1]", "fly.json:1: the file is not an object"},
		{"fly.yaml", "app: a\nenv: 5\n", "fly.yaml:2: env is not a table of variables\n"},
		{"fly.yaml", "- app\n", "fly.yaml:1: the file is not a map"},
		{"fly.yaml", "app: counter\nenv:\n\tA: 1\n", "fly.yaml:3:"},
		{"fly.yaml", "\napp: 5\n", "fly.yaml:2: app is not a string"},
		{"fly.yaml", "app: a\nenv:\n  A: 1\n  B: [1]\n", "fly.yaml:4: B in [env]"},
		{"fly.yaml", "app: a\nenv: 5\n", "fly.yaml:2:"},
		{"fly.yml", "app: a\nenv:\n  B:\n", "fly.yml:3: B in [env]"},
	} {
		_, err := fly.LoadConfig(file(t, broken.name, broken.text))
		wantProblem(t, err, "broken_config")
		if !strings.Contains(err.Error(), broken.says) {
			t.Errorf("%q: %v", broken.text, err)
		}
	}
}

func TestTokenIsFoundAsFlyctlDoes(t *testing.T) {
	config := file(t, "config.yml", "access_token: fm2_login,fo1_other\nlast_login: 2025-01-01T00:00:00Z\n")
	t.Setenv("FLY_CONFIG_DIR", filepath.Dir(config))
	t.Setenv("FLY_ACCESS_TOKEN", "")
	t.Setenv("FLY_API_TOKEN", "")
	for _, want := range []string{"fm2_login,fo1_other", "api", "access"} {
		switch want {
		case "api":
			t.Setenv("FLY_API_TOKEN", want)
		case "access":
			t.Setenv("FLY_ACCESS_TOKEN", want)
		}
		from := map[string]string{"api": "FLY_API_TOKEN", "access": "FLY_ACCESS_TOKEN"}[want]
		if from == "" {
			from = config
		}
		if got, place, err := fly.Token(); err != nil || got != want || place != from {
			t.Errorf("got %q from %s, want %q from %s: %v", got, place, want, from, err)
		}
	}
}

// Quotes that a shell, an .env file or a paste has left belong to no token.
func TestTokenInQuotes(t *testing.T) {
	config := file(t, "config.yml", "access_token: ' \"fm2_login\" '\n")
	t.Setenv("FLY_CONFIG_DIR", filepath.Dir(config))
	t.Setenv("FLY_ACCESS_TOKEN", " ")
	t.Setenv("FLY_API_TOKEN", `""`)
	if got, from, err := fly.Token(); err != nil || got != "fm2_login" || from != config {
		t.Errorf("got %q from %s: %v", got, from, err)
	}
	for given, want := range map[string]string{`"FlyV1 fm2_a,fm2_b"`: "FlyV1 fm2_a,fm2_b", "'fo1_a'\n": "fo1_a", `" fo1_a "`: "fo1_a", `"fo1_a`: `"fo1_a`} {
		t.Setenv("FLY_ACCESS_TOKEN", given)
		if got, _, err := fly.Token(); err != nil || got != want {
			t.Errorf("%q is %q, want %q: %v", given, got, want, err)
		}
	}
}

func TestNoTokenIsAProblem(t *testing.T) {
	t.Setenv("FLY_ACCESS_TOKEN", "")
	t.Setenv("FLY_API_TOKEN", "")
	t.Setenv("FLY_CONFIG_DIR", t.TempDir())
	_, _, err := fly.Token()
	wantProblem(t, err, "no_token")
	broken := file(t, "config.yml", "access_token: ["+testToken)
	t.Setenv("FLY_CONFIG_DIR", filepath.Dir(broken))
	_, _, err = fly.Token()
	wantProblem(t, err, "no_token")
	t.Setenv("FLY_CONFIG_DIR", "")
	t.Setenv("HOME", t.TempDir())
	_, _, err = fly.Token()
	wantProblem(t, err, "no_token")
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	_, err := fly.New(fly.Options{App: "counter"})
	wantProblem(t, err, "no_token")
	for _, app := range []string{"", "../other", "a/b", "Counter", "a b"} {
		_, err := fly.New(fly.Options{App: app, Token: testToken})
		wantProblem(t, err, "app_name")
	}
	for _, address := range []string{"nowhere", "ftp://host", "http://host?x=1", "https://user:pass\x7f@host"} {
		_, err := fly.New(fly.Options{App: "counter", Token: testToken, BaseURL: address})
		wantProblem(t, err, "api_address")
	}
}

func TestTokensAreSentInTheirScheme(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"fo1_user":          "Bearer fo1_user",
		"FlyV1 fm2_a,fm2_b": "FlyV1 fm2_a,fm2_b", // of no use to us, but refusing them is up to the API
	} {
		var got string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Authorization")
			_, _ = w.Write([]byte("[]"))
		}))
		c, err := fly.New(fly.Options{App: "counter", Token: token, BaseURL: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Machines(t.Context()); err != nil || got != want {
			t.Errorf("%q was sent as %q, want %q: %v", token, got, want, err)
		}
		server.Close()
	}
}

// The address comes from the environment where Options do not give one, as with flyctl.
func TestBaseURLOfTheEnvironment(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`[{"id":"a"}]`))
	}))
	defer server.Close()
	t.Setenv("FLY_FLAPS_BASE_URL", server.URL)
	c, err := fly.New(fly.Options{App: "counter", Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	if machines, err := c.Machines(t.Context()); err != nil || len(machines) != 1 {
		t.Errorf("%+v, %v", machines, err)
	}
}
