package cli

import (
	"context"
	"strings"
	"testing"
)

func TestHowAnotherTerminalJoinsTheDemo(t *testing.T) {
	told := served{program: "bin/flydeploy", api: "http://127.0.0.1:4000", token: "fm2_x", image: "registry.fly.io/counter:deployment-01K"}.joining()
	for _, line := range []string{
		"export FLY_FLAPS_BASE_URL=http://127.0.0.1:4000 FLY_API_BASE_URL=http://127.0.0.1:4000\n", "export FLY_ACCESS_TOKEN=fm2_x\n",
		"bin/flydeploy -a counter --skip-build --image registry.fly.io/counter:deployment-01K\n", "bin/flydeploy lock acquire -a counter -m ",
	} {
		if !strings.Contains(told, "  "+line) {
			t.Errorf("no line %q in\n%s", line, told)
		}
	}
	if strings.Contains(told, "%!") {
		t.Error(told)
	}
}

// The command lines that are told are ones that exist.
func TestTheJoiningCommandsExist(t *testing.T) {
	told := served{program: "flydeploy", api: "http://127.0.0.1:4000", token: "fm2_x", image: "registry.fly.io/counter:deployment-01K"}.joining()
	n := 0
	for line := range strings.Lines(told) {
		words, is := strings.CutPrefix(strings.TrimSpace(line), "flydeploy ")
		if !is {
			continue
		}
		n++
		args := strings.Fields(strings.ReplaceAll(words, `"a freeze, to try it"`, "freeze"))
		cmd, rest, err := rootCommand(newInterrupts()).Find(args)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if n != 5 {
		t.Errorf("%d commands", n)
	}
}

func TestTheServedDemoGoesOnUntilQ(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx   context.Context
		typed string
		again bool
	}{{t.Context(), "\n", true}, {t.Context(), "q\n", false}, {t.Context(), "", false}} {
		var out strings.Builder
		if again, err := asksForConsole(test.ctx, strings.NewReader(test.typed), &out); err != nil || again != test.again {
			t.Errorf("%q: %t %v", test.typed, again, err)
		}
	}
	in := neverRead{}
	if again, err := asksForConsole(ended, in, new(strings.Builder)); err != nil || again {
		t.Errorf("after the end: %t %v", again, err)
	}
}

// neverRead is an input at which nobody types.
type neverRead struct{}

func (neverRead) Read([]byte) (int, error) { select {} }
