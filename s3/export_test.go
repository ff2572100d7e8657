package s3

import "time"

// SetClock makes the bucket believe that it is used on a computer with this clock.
func (b *Bucket) SetClock(computer func() time.Time) { b.clock.computer = computer }
