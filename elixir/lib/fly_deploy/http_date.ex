defmodule FlyDeploy.HttpDate do
  @moduledoc false

  # The one form in which HTTP servers must write dates (RFC 9110, 5.6.7). OTP's reader is part of inets, which a release may
  # lack.

  @months ~w(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec)

  @doc """
  How long ago an object was written when the server answered, in seconds: by the server's clock alone, since others may be
  hours off. `nil` if it does not say.

      iex> date = "Sun, 06 Nov 1994 08:50:07 GMT"
      iex> FlyDeploy.HttpDate.age_s(%{"date" => date, "last-modified" => "Sun, 06 Nov 1994 08:49:37 GMT"})
      30
      iex> FlyDeploy.HttpDate.age_s(%{"date" => date})
      nil
      iex> FlyDeploy.HttpDate.age_s(%{"date" => date, "last-modified" => "yesterday"})
      nil
  """
  @spec age_s(%{binary => binary}) :: non_neg_integer | nil
  def age_s(headers) do
    with {:ok, now} <- read(headers["date"]),
         {:ok, written} <- read(headers["last-modified"]),
         do: max(NaiveDateTime.diff(now, written), 0),
         else: (_ -> nil)
  end

  defp read(
         <<_::binary-size(3), ", ", day::binary-size(2), " ", month::binary-size(3), " ",
           year::binary-size(4), " ", time::binary-size(8), " GMT">>
       ) do
    with index when is_integer(index) <- Enum.find_index(@months, &(&1 == month)) do
      month = (index + 1) |> Integer.to_string() |> String.pad_leading(2, "0")
      NaiveDateTime.from_iso8601("#{year}-#{month}-#{day} #{time}")
    end
  end

  defp read(_), do: nil
end
