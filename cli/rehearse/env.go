package rehearse

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"flydeploy/engine"
	"flydeploy/text"
)

// Env is an application's environment: secrets, of which nothing but the names is ever shown.
type Env map[string]string

// ofStorage are the variables that say where the bucket is. A rehearsal has one of its own, and must never reach the real one.
var ofStorage = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_BUCKET", "BUCKET_NAME",
}

// WithoutStorage gives the environment without what names a bucket, and those names.
func (e Env) WithoutStorage() (Env, []string) {
	others, left := Env{}, []string{}
	for name, value := range e {
		if slices.Contains(ofStorage, name) {
			left = append(left, name)
		} else {
			others[name] = value
		}
	}
	slices.Sort(left)
	return others, left
}

// LeftOut tells of variables that name a bucket.
func LeftOut(names []string) string {
	return "left out, since the rehearsal has a bucket of its own: " + strings.Join(names, ", ")
}

// isName is a variable's name as a shell takes it.
var isName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ReadEnv reads a file of NAME=VALUE lines. Empty lines and those that begin with # do not count, "export " before a name neither, nor a pair
// of quotes around a value. Nothing in a value is replaced. Errors name the line, and never its text.
func ReadEnv(path string) (Env, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, engine.NewProblem("no_env_file", "read the environment of "+text.Line(path), reason(err), "Check --env-file: a file with a line NAME=VALUE for each variable.")
	}
	env := Env{}
	n := 0
	for line := range strings.Lines(string(body)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if name = strings.TrimSpace(name); !ok || !isName.MatchString(name) || strings.Contains(value, "\x00") {
			return nil, engine.NewProblem("broken_env_file", fmt.Sprintf("%s:%d is no line NAME=VALUE", text.Line(path), n), nil, "Correct the file. A value stands on one line.")
		}
		env[name] = unquoted(strings.TrimSpace(value))
	}
	return env, nil
}

func unquoted(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

// shortestSecret is how long a value must be to be looked for in what is shown: a shorter one stands in many words.
const shortestSecret = 6

// hide takes the values out of what an application has printed.
func (e Env) hide(says string) string {
	var secrets []string
	for _, value := range e {
		if len(value) >= shortestSecret {
			secrets = append(secrets, value)
		}
	}
	return text.Redact(says, secrets...)
}
