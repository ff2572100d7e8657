defmodule FlyDeployAgent.Order do
  @moduledoc """
  What the console asks for, as it comes: base64 of a URL-encoded form, compressed by zlib.
  """

  @minute 60_000

  @doc "Decodes an order; raises for a form that no console sends. Times are milliseconds, sizes bytes."
  @spec decode(binary) :: map
  def decode(encoded) do
    form = encoded |> Base.decode64!() |> :zlib.uncompress() |> URI.decode_query()
    id = Map.fetch!(form, "id")
    true = id =~ ~r/\A[A-Za-z0-9-]{16,80}\z/

    %{
      id: id,
      owner: Map.get(form, "owner", ""),
      url: Map.fetch!(form, "url"),
      sha256: Map.fetch!(form, "sha256"),
      report_url: Map.get(form, "report_url"),
      size: form |> Map.fetch!("size") |> String.to_integer(),
      version: Map.get(form, "version", ""),
      source_image: Map.get(form, "source_image", ""),
      otp_app: form |> Map.fetch!("otp_app") |> String.to_atom(),
      cacerts: Map.get(form, "cacerts"),
      suspend_ms: number(form, "suspend_ms", 250),
      staged_ms: number(form, "staged_ms", 20 * @minute),
      armed_ms: number(form, "armed_ms", @minute),
      terminal_ms: number(form, "terminal_ms", 10 * @minute)
    }
  end

  defp number(form, key, default) do
    case Map.fetch(form, key) do
      {:ok, text} -> String.to_integer(text)
      :error -> default
    end
  end
end
