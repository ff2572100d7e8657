package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/engine/sign"
)

// keygen makes a key as a user does, and gives what that prints.
func keygen(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := keygenCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

func TestAKeyIsMadeAndUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.key")
	out, err := keygen(t, file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(string(body))
	key, err := sign.ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().String()
	if strings.Contains(out, secret) || !strings.Contains(out, `config :fly_deploy, public_key: "`+public+`"`) || !strings.Contains(out, `public_keys = ["`+public+`"]`) {
		t.Errorf("keygen says:\n%s", out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if _, err := keygen(t, file); engine.AsProblem(err).Name != "key_exists" {
		t.Errorf("it is replaced: %v", err)
	}

	toml := map[string]string{"fly.toml": `app = "a"`}
	d, err := load(t, toml, "--signing-key", file)
	if err != nil || d.keys.SignsWith() != key.Public().ID() {
		t.Errorf("--signing-key: %v, %v", d.keys, err)
	}
	t.Setenv(signingKeyVariable, secret)
	d, err = load(t, toml)
	if err != nil || d.keys.SignsWith() != key.Public().ID() {
		t.Errorf("%s: %v, %v", signingKeyVariable, d.keys, err)
	}
	t.Setenv(signingKeyVariable, "")
	toml["flydeploy.toml"] = `public_keys = ["` + public + `"]`
	d, err = load(t, toml)
	if err != nil || d.keys.SignsWith() != "" || !d.keys.Demands() {
		t.Errorf("public_keys: %v, %v", d.keys, err)
	}
	delete(toml, "flydeploy.toml")
	if d, err = load(t, toml); err != nil || d.keys.Demands() {
		t.Errorf("without any key: %v, %v", d.keys, err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	key, err := sign.Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	open, empty := filepath.Join(dir, "open.key"), filepath.Join(dir, "empty.key")
	for file, text := range map[string]string{open: key.Secret(), empty: ""} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	toml := map[string]string{"fly.toml": `app = "a"`}
	for file, name := range map[string]string{open: "open_signing_key", empty: "bad_signing_key", filepath.Join(dir, "none.key"): "no_signing_key"} {
		_, err := load(t, toml, "--signing-key", file)
		p := engine.AsProblem(err)
		if err == nil || p.Name != name || p.Remedy == "" || strings.Contains(err.Error(), key.Secret()) {
			t.Errorf("%s: %v", file, err)
		}
	}
	t.Setenv(signingKeyVariable, "x"+key.Secret())
	if _, err := load(t, toml); engine.AsProblem(err).Name != "bad_signing_key" || !strings.Contains(err.Error(), signingKeyVariable) || strings.Contains(err.Error(), key.Secret()[30:]) {
		t.Errorf("%s: %v", signingKeyVariable, err)
	}
	t.Setenv(signingKeyVariable, "")
	toml["flydeploy.toml"] = `public_keys = ["` + key.Secret() + `"]`
	if _, err := load(t, toml); engine.AsProblem(err).Name != "bad_public_key" || strings.Contains(err.Error(), key.Secret()) {
		t.Errorf("public_keys: %v", err)
	}
}
