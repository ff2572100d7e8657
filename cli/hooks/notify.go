package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/run"
)

// Notify says where an outcome is posted. Nothing of it but the URL's host is ever shown: the rest may be secret.
type Notify struct {
	URL     string
	Headers map[string]string
	// Text words the outcome in one line, for what shows nothing but "text", as chats do; nil for none.
	Text func(engine.Result) string
}

// tryWithin bounds one attempt to post.
const tryWithin = 5 * time.Second

// fromEnv marks what the environment holds: "env:NAME".
const fromEnv = "env:"

// Resolve gives n with what the environment holds in the place of "env:NAME", and checks it.
func (n Notify) Resolve(getenv func(string) string) (*Notify, error) {
	wrong := func(format string, args ...any) (*Notify, error) {
		return nil, engine.NewProblem("broken_config", "[notify] "+fmt.Sprintf(format, args...), nil, "Correct flydeploy.toml, or set the variable. --no-hooks deploys without posting anything.")
	}
	resolved := Notify{Headers: map[string]string{}, Text: n.Text}
	take := func(from string) (value, unset string) {
		name, isEnv := strings.CutPrefix(from, fromEnv)
		if !isEnv {
			return from, ""
		}
		if value = getenv(name); value == "" {
			return "", name
		}
		return value, ""
	}
	var unset string
	if resolved.URL, unset = take(n.URL); unset != "" {
		return wrong("url: the environment has no %s", unset)
	}
	u, err := url.Parse(resolved.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return wrong("url must begin with https:// and name a host")
	}
	for name, from := range n.Headers {
		if resolved.Headers[name], unset = take(from); unset != "" {
			return wrong("headers: %s: the environment has no %s", name, unset)
		}
		if !isHeader(name, resolved.Headers[name]) {
			return wrong("headers: %q is not a header", name)
		}
	}
	return &resolved, nil
}

// isHeader: net/http sends no other, and says so only then.
func isHeader(name, value string) bool {
	const token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	isOdd := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	return name != "" && strings.Trim(name, token) == "" && !strings.ContainsFunc(value, isOdd)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// noRedirects: headers are for the host that the operator has named.
var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Post implements engine.Hooks: the result as JSON, with "text" before it. The deploy's ID, as the Idempotency-Key, lets the receiver know a
// second attempt.
func (h Hooks) Post(ctx context.Context, r engine.Result) error {
	n := h.Notify
	if n == nil {
		return nil
	}
	says := ""
	if n.Text != nil {
		says = n.Text(r)
	}
	body, err := json.Marshal(struct {
		Text string `json:"text,omitempty"`
		engine.Result
	}{says, r})
	if err != nil {
		return err
	}
	client := h.client
	if client == nil {
		client = noRedirects
	}
	_, err = run.RetryUnknown(ctx, nil, func() (struct{}, error) { return struct{}{}, n.once(ctx, client, r.Upgrade.ID, body) })
	return err
}

// once posts a result.
func (n *Notify) once(ctx context.Context, client *http.Client, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the outcome could not be posted: its URL is not valid") // the error quotes it
	}
	fail := func(why string) error {
		return fmt.Errorf("the outcome could not be posted to %s: %s", req.URL.Host, why)
	}
	for name, value := range n.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	if id != "" {
		req.Header.Set("Idempotency-Key", id)
	}
	resp, err := client.Do(req)
	if err != nil {
		return passing{fail(reason(err))}
	}
	_ = resp.Body.Close()
	status := strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", http.StatusText(resp.StatusCode)))
	switch s := resp.StatusCode; {
	case s < 300:
		return nil
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return passing{fail(status)}
	}
	return fail(status)
}

// passing is an error that may not come again.
type passing struct{ error }

func (passing) Is(target error) bool { return target == engine.ErrUnknownOutcome }

// reason is why there was no answer, without the URL, which may be secret.
func reason(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it did not answer in time"
	}
	return err.Error()
}
