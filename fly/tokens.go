package fly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"flydeploy/engine"
)

// Token finds the token where flyctl does: in FLY_ACCESS_TOKEN, FLY_API_TOKEN, or the login in
// ${FLY_CONFIG_DIR:-~/.fly}/config.yml. from names the variable or the file.
func Token() (token, from string, err error) {
	for _, name := range []string{"FLY_ACCESS_TOKEN", "FLY_API_TOKEN"} {
		if token := unquoted(os.Getenv(name)); token != "" {
			return token, name, nil
		}
	}
	dir := os.Getenv("FLY_CONFIG_DIR")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", errNoToken()
		}
		dir = filepath.Join(home, ".fly")
	}
	from = filepath.Join(dir, "config.yml")
	if token, err = loginToken(from); err == nil && token == "" {
		err = errNoToken()
	}
	return token, from, err
}

func loginToken(path string) (string, error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var login struct {
		AccessToken string `yaml:"access_token"`
	}
	if err == nil && yaml.Unmarshal(body, &login) != nil {
		err = fmt.Errorf("read %s: it is not YAML", path) // the parser's error might quote the token
	}
	if err != nil {
		return "", engine.NewProblem("no_token", "find the token for Fly", err, "Run `fly auth login` again.")
	}
	return unquoted(login.AccessToken), nil
}

// unquoted removes what a file of variables or a paste leaves around a token: spaces, a newline, a pair of quotes.
func unquoted(token string) string {
	token = strings.TrimSpace(token)
	for _, quote := range []string{`"`, "'"} {
		if inner, ok := strings.CutPrefix(token, quote); ok {
			if inner, ok = strings.CutSuffix(inner, quote); ok {
				return strings.TrimSpace(inner)
			}
		}
	}
	return token
}

func errNoToken() error {
	return engine.NewProblem("no_token", "there is no token for Fly", nil,
		"Run `fly auth login`, or set FLY_ACCESS_TOKEN to a token from `fly tokens create deploy`.")
}
