package described

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Variable names the file that holds the description. Without it nothing is held against anything.
const Variable = "FLY_API_SPEC"

// FromEnvironment gives what holds a handler's requests and answers against the description that FLY_API_SPEC names, nil if it names none.
// What deviates is added, once for each process, to the file of that name with .deviations at its end.
func FromEnvironment() (func(http.Handler) http.Handler, error) {
	file := os.Getenv(Variable)
	if file == "" {
		return nil, nil
	}
	d, err := Load(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	tell := addTo(file + ".deviations")
	return func(next http.Handler) http.Handler { return d.Watch(next, tell) }, nil
}

// addTo gives a function that adds lines to a file, each once.
func addTo(file string) func(string) {
	var mu sync.Mutex
	told := map[string]bool{}
	return func(line string) {
		mu.Lock()
		defer mu.Unlock()
		if told[line] {
			return
		}
		told[line] = true
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		defer f.Close()
		fmt.Fprintln(f, line)
	}
}

// Watch tells of every request and answer that is not as described, apart from what is known to deviate.
func (d *Description) Watch(next http.Handler, tell func(string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil { // its client has gone
			next.ServeHTTP(w, r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		answer := &copied{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		for _, wrong := range d.deviations(r, sent, answer) {
			if !isKnown(wrong) {
				tell(wrong)
			}
		}
	})
}

// copied keeps a copy of the answer that it passes on.
type copied struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (c *copied) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *copied) Write(part []byte) (int, error) {
	c.body.Write(part)
	return c.ResponseWriter.Write(part)
}

// Unwrap lets effects cut connections.
func (c *copied) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (d *Description) deviations(r *http.Request, sent []byte, answer *copied) []string {
	o, template, ok := d.operation(r.Method, r.URL.Path)
	if !ok {
		return []string{fmt.Sprintf("%s %s is not described", r.Method, r.URL.Path)}
	}
	var wrong []string
	if answer.status < 400 { // else the request may be wrong on purpose
		wrong = append(wrong, d.request(o, r, sent)...)
	}
	wrong = append(wrong, d.answer(o, answer)...)
	for i := range wrong {
		wrong[i] = r.Method + " " + template + ": " + wrong[i]
	}
	return wrong
}

func (d *Description) request(o operation, r *http.Request, sent []byte) []string {
	var wrong []string
	known := map[string]parameter{}
	for _, p := range o.Parameters {
		known[p.In+" "+p.Name] = p
		if p.Required && p.In == "header" && r.Header.Get(p.Name) == "" {
			wrong = append(wrong, "the header "+p.Name+" is missing")
		}
	}
	for name, values := range r.URL.Query() {
		p, ok := known["query "+name]
		if kind, _, of := strings.Cut(name, "."); !ok && of { // metadata.KEY
			p, ok = known["query "+kind+".{key}"]
		}
		if !ok {
			wrong = append(wrong, "the parameter "+name+" is not described")
			continue
		}
		for _, value := range values {
			if !isOf(p.Schema, value) {
				wrong = append(wrong, fmt.Sprintf("the parameter %s is no %s", name, p.Schema.Type))
			}
		}
	}
	switch {
	case o.RequestBody == nil:
		if len(bytes.TrimSpace(sent)) > 0 {
			wrong = append(wrong, "a body is not described")
		}
	case len(sent) > 0 || o.RequestBody.Required:
		wrong = append(wrong, d.text(o.RequestBody.json(), sent, "request")...)
	}
	return wrong
}

// isOf is about parameters, whose enums the description means for one value of several.
func isOf(s *schema, value string) bool {
	if s == nil {
		return true
	}
	var err error
	switch s.Type {
	case "integer":
		_, err = strconv.Atoi(value)
	case "boolean":
		_, err = strconv.ParseBool(value)
	}
	return err == nil
}

// answer checks a success by its schema, and an error by the one that all have.
func (d *Description) answer(o operation, answer *copied) []string {
	if answer.status >= 400 {
		return d.text(d.Components.Schemas["ErrorResponse"], answer.body.Bytes(), strconv.Itoa(answer.status))
	}
	described, ok := o.Responses[strconv.Itoa(answer.status)]
	if !ok {
		return []string{fmt.Sprintf("the status %d is not described", answer.status)}
	}
	s := described.json()
	if s == nil {
		if answer.body.Len() > 0 && strings.TrimSpace(answer.body.String()) != `{"ok":true}` { // as fly-go's tests have it
			return []string{"a body is not described in the answer"}
		}
		return nil
	}
	return d.text(s, answer.body.Bytes(), "answer")
}

func (d *Description) text(s *schema, text []byte, what string) []string {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return []string{what + " is no JSON"}
	}
	return d.check(s, value, what)
}
