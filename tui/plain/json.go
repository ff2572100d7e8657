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

// JSON writes one event a line; otherwise it is like Lines. Of what others wrote it holds nothing that steers a terminal.
func JSON(ctx context.Context, w io.Writer, d Deployment) error {
	return each(ctx, d, func(batch []engine.Event) error {
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
