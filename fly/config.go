package fly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"flydeploy/engine"
)

// Config is what a deploy needs of fly.toml. `fly deploy` reads the rest by itself.
type Config struct {
	App string
	Env map[string]string // [env]: goes to the temporary machine, and may say where the storage is
}

// ConfigNames are the names under which flyctl looks for an app's configuration, in its order.
var ConfigNames = []string{"fly.toml", "fly.json", "fly.yaml", "fly.yml"}

// FindConfig gives the configuration in a folder: the first of ConfigNames that exists, else "fly.toml".
func FindConfig(folder string) string {
	for _, name := range ConfigNames {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(folder, ConfigNames[0])
}

// LoadConfig reads an app's configuration: JSON or YAML by the file's extension, else TOML. Where there is none, the
// error is an fs.ErrNotExist.
func LoadConfig(path string) (Config, error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, engine.NewProblem("no_config", "read the app's configuration", err,
			"Run in the folder of the app's fly.toml, or give --config or --app. `fly launch` makes one.")
	}
	if err != nil {
		return Config{}, engine.NewProblem("no_config", "read the app's configuration", err, "Make the file readable.")
	}
	parse := parseTOML
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		parse = parseJSON
	case ".yaml", ".yml":
		parse = parseYAML
	}
	config, err := parse(body)
	if err != nil {
		return Config{}, brokenConfig(path, err)
	}
	return config, nil
}

// lineError is an error at a line of a file, counted from 1.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.text) }

func brokenConfig(path string, err error) error {
	where := path
	var at *lineError
	if errors.As(err, &at) {
		where, err = fmt.Sprintf("%s:%d", path, at.line), errors.New(at.text)
	}
	return engine.NewProblem("broken_config", where, err, "Correct the file: `fly config validate` checks it.")
}
