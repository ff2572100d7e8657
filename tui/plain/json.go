package plain

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"flydeploy/engine"
)

// JSON writes one event a line, as it is; otherwise it is like Lines.
func JSON(ctx context.Context, w io.Writer, d Deployment) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return each(ctx, d, func(batch []engine.Event) error {
		for _, e := range batch {
			if err := enc.Encode(e); err != nil {
				return fmt.Errorf("write event %d: %w", e.Seq, err)
			}
		}
		return nil
	})
}
