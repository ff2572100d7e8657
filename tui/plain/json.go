package plain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"flydeploy/engine"
	"flydeploy/text"
)

// recorded is a deploy that also gives its events unmerged, however slowly they are read: *deploy.Deployment.
type recorded interface{ Recorded() engine.Source }

// JSON writes every event, one a line; otherwise it is like Lines. Of what others wrote it holds nothing that steers a
// terminal.
func JSON(ctx context.Context, w io.Writer, d Deployment) error {
	events := engine.Source(d)
	if r, ok := d.(recorded); ok {
		events = r.Recorded()
	}
	return each(ctx, events, d.Stop, func(batch []engine.Event) error {
		for _, e := range batch {
			if err := Encode(w, e); err != nil {
				return fmt.Errorf("write event %d: %w", e.Seq, err)
			}
		}
		return nil
	})
}

// Encode writes v as JSON on one line, cleaned as the lines of JSON are.
func Encode(w io.Writer, v any) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(text.JSON(line.Bytes()))
	return err
}
