package agenttest

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
)

// order is what an agent is asked for, see Order in elixir/agent.
type order struct {
	id, owner, fence, url, reportURL, sha256 string
	size                                     int64
	agent                                    engine.CompiledAgent // URL is presigned
	otpApp, version, sourceImage             string
	staged, armed, terminal                  time.Duration
	trial                                    time.Duration
	skipBusy, rehearse, back, applyConfig    bool
	applyChildren                            engine.ApplyChildren
	fresh                                    []string // modules
}

var validID = regexp.MustCompile(`\A[A-Za-z0-9-]{16,80}\z`)

func readOrder(stdin string) (order, error) {
	text, err := decode(stdin)
	if err != nil {
		return order{}, err
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return order{}, err
	}
	if !validID.MatchString(form.Get("id")) {
		return order{}, errors.New("no valid id")
	}
	for _, key := range []string{"url", "sha256", "size", "otp_app", "agent_url", "agent_sha256", "agent_size", "agent_otp", "agent_elixir"} {
		if !form.Has(key) {
			return order{}, errors.New("no " + key)
		}
	}
	size, err := strconv.ParseInt(form.Get("size"), 10, 64)
	if err != nil {
		return order{}, err
	}
	agentSize, err := strconv.ParseInt(form.Get("agent_size"), 10, 64)
	if err != nil {
		return order{}, err
	}
	ms := func(key string, usual time.Duration) time.Duration {
		if n, err := strconv.Atoi(form.Get(key)); err == nil {
			return time.Duration(n) * time.Millisecond
		}
		return usual
	}
	return order{
		id: form.Get("id"), owner: form.Get("owner"), fence: form.Get("fence"), url: form.Get("url"), reportURL: form.Get("report_url"), sha256: form.Get("sha256"), size: size,
		agent: engine.CompiledAgent{
			URL: form.Get("agent_url"), SHA256: form.Get("agent_sha256"), Size: agentSize, OTP: form.Get("agent_otp"), Elixir: form.Get("agent_elixir"),
		},
		otpApp: form.Get("otp_app"), version: form.Get("version"), sourceImage: form.Get("source_image"),
		staged: ms("staged_ms", 20*time.Minute), armed: ms("armed_ms", time.Minute), terminal: ms("terminal_ms", 10*time.Minute), trial: ms("trial_ms", 0),
		skipBusy: form.Get("skip_busy") == "true", rehearse: form.Get("rehearse") == "true", applyConfig: form.Get("apply_config") == "true", applyChildren: engine.ApplyChildren(form.Get("apply_children")),
		back: form.Get("back") == "true", fresh: strings.Fields(form.Get("fresh")),
	}, nil
}
