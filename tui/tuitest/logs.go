package tuitest

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"flydeploy/engine"
)

// Logs answers with lines from memory, as Fly's logs do.
type Logs struct{ All []engine.MachineLine }

// Lines implements engine.Logs.
func (l *Logs) Lines(_ context.Context, machine, from string) ([]engine.MachineLine, string, error) {
	at, _ := strconv.Atoi(from)
	var lines []engine.MachineLine
	for _, line := range l.All[min(at, len(l.All)):] {
		if machine == "" || line.Machine == machine {
			lines = append(lines, line)
		}
	}
	return lines, strconv.Itoa(len(l.All)), nil
}

// MachineLines is what six machines print around the commit of Upgraded(6) and Watched(6): a second of lines, n in all.
func MachineLines(n int) []engine.MachineLine {
	s := NewScript(6)
	texts := []string{
		"counted 東京 to 12,006", "12:00:00.412 [error] GenServer #PID<0.815.0> terminating", "** (KeyError) key :limit not found in: %{count: 3}",
		"    (counter 2.0.0) lib/counter/gate.ex:41: Counter.Gate.turned/3", "12:00:00.600 [warning] the gate was shut, and a line that is so long that no terminal of a usual width holds all of it, from its begin to its end",
		"GET /count 200 in 3 ms",
	}
	lines := make([]engine.MachineLine, 0, n)
	for i := range n {
		m := s.Machines[0]
		if i%len(texts) == len(texts)-1 || i%len(texts) == 0 {
			m = s.Machines[1+i%5]
		}
		text := texts[i%len(texts)]
		if i >= len(texts) {
			text = fmt.Sprintf("%s #%d", text, i)
		}
		lines = append(lines, engine.MachineLine{At: Start.Add(time.Duration(i) * 50 * time.Millisecond), Machine: m.ID, Region: m.Region, Level: "info", Text: text})
	}
	return lines
}
