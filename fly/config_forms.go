package fly

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// envError says that a value in [env] cannot be the value of an environment variable. flyctl converts numbers and booleans to
// strings; lists and tables cannot be converted.
func envError(line int, name string) error {
	return &lineError{line, fmt.Sprintf("%s in [env] is not a string, a number or a boolean", name)}
}

// buildSection is [build], as far as it decides whether there is anything to build.
type buildSection struct {
	Image string `toml:"image" json:"image" yaml:"image"`
}

// deploySection is [deploy], as far as a hot upgrade may run it.
type deploySection struct {
	ReleaseCommand string `toml:"release_command" json:"release_command" yaml:"release_command"`
}

func parseTOML(body []byte) (Config, error) {
	var file struct {
		App    string         `toml:"app"`
		Build  buildSection   `toml:"build"`
		Deploy deploySection  `toml:"deploy"`
		Env    map[string]any `toml:"env"`
	}
	if err := toml.Unmarshal(body, &file); err != nil {
		return Config{}, tomlError(err)
	}
	config := Config{App: file.App, Image: file.Build.Image, Env: make(map[string]string, len(file.Env)), ReleaseCommand: file.Deploy.ReleaseCommand}
	for name, value := range file.Env {
		switch value.(type) {
		case map[string]any, []any:
			return Config{}, tomlEnvError(body)
		default:
			config.Env[name] = fmt.Sprint(value)
		}
	}
	return config, nil
}

// tomlError adds the line to an error of the parser.
func tomlError(err error) error {
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) {
		return err
	}
	line, _ := wrong.Position()
	if said := wrongKind(wrong.Key()); said != "" {
		return &lineError{line, said}
	}
	return &lineError{line, strings.TrimPrefix(wrong.Error(), "toml: ")}
}

// wrongKind says what a key of ours must be, "" for another key. The parsers would speak of types of Go.
func wrongKind(key []string) string {
	switch {
	case len(key) == 1 && key[0] == "app":
		return "app is not a string"
	case len(key) == 1 && key[0] == "env":
		return "env is not a table of variables"
	case len(key) > 0 && key[0] == "build":
		return "image in [build] is not a string"
	case len(key) > 0 && key[0] == "deploy":
		return "release_command in [deploy] is not a string"
	}
	return ""
}

// scalar decodes from every value that is not a list or a table.
type scalar string

func (s *scalar) UnmarshalText(text []byte) error {
	*s = scalar(text)
	return nil
}

// tomlEnvError finds the first value in [env] that is not a scalar: decoding it into one fails and tells the line.
func tomlEnvError(body []byte) error {
	var file struct {
		Env map[string]scalar `toml:"env"`
	}
	err := toml.Unmarshal(body, &file)
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) || len(wrong.Key()) < 2 {
		return tomlError(err)
	}
	line, _ := wrong.Position()
	return envError(line, wrong.Key()[1])
}

func parseJSON(body []byte) (Config, error) {
	var file struct {
		App    string                     `json:"app"`
		Build  buildSection               `json:"build"`
		Deploy deploySection              `json:"deploy"`
		Env    map[string]json.RawMessage `json:"env"`
	}
	if err := json.Unmarshal(body, &file); err != nil {
		return Config{}, jsonError(body, err)
	}
	config := Config{App: file.App, Image: file.Build.Image, Env: make(map[string]string, len(file.Env)), ReleaseCommand: file.Deploy.ReleaseCommand}
	for name, raw := range file.Env {
		var text string
		switch raw[0] {
		case '"':
			_ = json.Unmarshal(raw, &text) // it is a string: the decoder has checked it
		case '{', '[', 'n':
			key, _ := json.Marshal(name) // cannot fail for a string
			return Config{}, envError(lineOf(body, bytes.Index(body, key)), name)
		default:
			text = string(raw)
		}
		config.Env[name] = text
	}
	return config, nil
}

func jsonError(body []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return &lineError{lineOf(body, int(syntax.Offset)-1), syntax.Error()}
	case errors.As(err, &kind):
		said := cmp.Or(wrongKind(strings.Split(kind.Field, ".")), "the file is not an object with app and env")
		return &lineError{lineOf(body, int(kind.Offset)-1), said}
	}
	return err
}

func lineOf(body []byte, offset int) int {
	return 1 + bytes.Count(body[:min(max(offset, 0), len(body))], []byte("\n"))
}

func parseYAML(body []byte) (Config, error) {
	var file struct {
		App    yaml.Node `yaml:"app"`
		Build  yaml.Node `yaml:"build"`
		Deploy yaml.Node `yaml:"deploy"`
		Env    yaml.Node `yaml:"env"`
	}
	var document yaml.Node
	if err := yaml.Unmarshal(body, &document); err != nil {
		return Config{}, yamlError(err)
	}
	if len(document.Content) > 0 && document.Content[0].Kind != yaml.MappingNode {
		return Config{}, &lineError{document.Content[0].Line, "the file is not a map with app and env"}
	}
	if err := document.Decode(&file); err != nil {
		return Config{}, yamlError(err)
	}
	variables := map[string]yaml.Node{}
	if err := file.Env.Decode(&variables); err != nil {
		return Config{}, &lineError{file.Env.Line, wrongKind([]string{"env"})}
	}
	var build buildSection
	if err := file.Build.Decode(&build); err != nil {
		return Config{}, &lineError{file.Build.Line, wrongKind([]string{"build"})}
	}
	var deploy deploySection
	if err := file.Deploy.Decode(&deploy); err != nil {
		return Config{}, &lineError{file.Deploy.Line, wrongKind([]string{"deploy"})}
	}
	if app := file.App; app.Kind != 0 && app.Tag != "!!str" {
		return Config{}, &lineError{app.Line, "app is not a string"}
	}
	config := Config{App: file.App.Value, Image: build.Image, Env: make(map[string]string, len(variables)), ReleaseCommand: deploy.ReleaseCommand}
	for name, value := range variables {
		if value.Kind == yaml.AliasNode {
			value = *value.Alias
		}
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			return Config{}, envError(value.Line, name)
		}
		config.Env[name] = value.Value
	}
	return config, nil
}

// yamlError takes the line out of an error of the parser, whose text begins with it.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "unmarshal errors:"), "\n  ")
	var line int
	if n, _ := fmt.Sscanf(text, "line %d: ", &line); n == 1 {
		_, text, _ = strings.Cut(text, ": ")
		return &lineError{line, text}
	}
	return errors.New(text)
}
