package plain_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"flydeploy/engine"
	"flydeploy/tui/plain"
)

type ran func(in io.Reader, out, errs io.Writer) error

func (r ran) Run(in io.Reader, out, errs io.Writer) error { return r(in, out, errs) }

// What is opened on a machine has what is typed until it ends, then the console has it again.
func TestAccessibleVisits(t *testing.T) {
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	var opened []string
	o := talkative()
	o.Terminal = func(_ context.Context, machine string, iex bool) (plain.Visit, error) {
		opened = append(opened, fmt.Sprintf("%s %v", machine, iex))
		if iex {
			return nil, engine.NewProblem("no_distribution", "the VM cannot be reached by another one", nil, "Set RELEASE_DISTRIBUTION.")
		}
		return ran(func(in io.Reader, out, _ io.Writer) error {
			fmt.Fprint(out, "sh-5.1# \n")
			for lines := bufio.NewScanner(in); lines.Scan() && lines.Text() != "exit"; {
				fmt.Fprintf(out, "ran %s\n", lines.Text())
			}
			return nil
		}), nil
	}
	w := talkBy(t.Context(), t, o, in, typed)
	w.hears(1, "Choice (1 to 9):")
	w.says("shell")
	w.hears(1, "Number of the machine; Enter alone goes back:")
	w.says("")
	w.hears(2, "Choice (1 to 9):")
	w.says("shell")
	w.hears(2, "Number of the machine;")
	w.says("70")
	w.hears(1, "There is no machine number 70.")
	w.hears(3, "Choice (1 to 9):")
	w.says("shell")
	w.hears(3, "Number of the machine;")
	w.says(numberOf(t, w.text(), "148e00046c5ccd"))
	w.hears(1, "148e00046c5ccd is stopped: it has no shell.")
	w.hears(4, "Choice (1 to 9):")
	w.says("shell")
	w.hears(4, "Number of the machine;")
	w.says(numberOf(t, w.text(), "148e00016c0000"))
	w.hears(1, "A shell on 148e00016c0000. When it ends, this console goes on.")
	w.hears(1, "sh-5.1#")
	w.says("7")
	w.hears(1, "ran 7")
	w.says("exit")
	w.hears(1, "A shell on 148e00016c0000 has ended.")
	w.hears(5, "Choice (1 to 9):")
	w.says("iex")
	w.hears(5, "Number of the machine;")
	w.says(numberOf(t, w.text(), "148e00016c0000"))
	w.hears(1, "the VM cannot be reached by another one")
	w.hears(1, "Set RELEASE_DISTRIBUTION.")
	w.hears(6, "Choice (1 to 9):")
	w.says("quit")
	w.over()
	if want := []string{"148e00016c0000 false", "148e00016c0000 true"}; !slices.Equal(opened, want) {
		t.Errorf("opened %q", opened)
	}
}

// numberOf is the number by which a machine was told.
func numberOf(t *testing.T, told, machine string) string {
	t.Helper()
	before, _, found := strings.Cut(told, ": "+machine+",")
	if !found {
		t.Fatalf("%s was never told:\n%s", machine, told)
	}
	return before[strings.LastIndex(before, " ")+1:]
}
