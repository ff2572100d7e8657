defmodule FlyDeploy.DeployLock do
  @moduledoc false

  # releases/<app>-deploy.lock, as flydeploy's consoles write it.

  alias FlyDeploy.{Json, Storage}

  # The life of a lock that does not state its own.
  @default_ms 300_000
  # What Last-Modified rounds away.
  @step_ms 1_000

  @doc """
  Whether a deploy is under way: its lock was neither released, nor left alone for its own lifetime by the storage's clock.
  What cannot be read counts as held. While somebody has frozen deploys, none is under way.

      iex> lock = &%{body: &1, etag: nil, age_s: 20}
      iex> FlyDeploy.DeployLock.held?(lock.(~s({"locked_by": "ann", "own_time_ms": 120000})))
      true
      iex> FlyDeploy.DeployLock.held?(lock.(~s({"locked_by": "ann", "own_time_ms": 15000})))
      false
      iex> FlyDeploy.DeployLock.held?(lock.(~s({"locked_by": "ann", "released": true})))
      false
      iex> FlyDeploy.DeployLock.held?(lock.(~s({"locked_by": "ann", "own_time_ms": 7200000, "freeze": "Black Friday"})))
      false
  """
  @spec held?(Storage.document()) :: boolean
  def held?(%{body: body, age_s: age_s}) do
    case Json.decode(body) do
      {:ok, %{"released" => true}} -> false
      {:ok, %{"freeze" => why}} when is_binary(why) and why != "" -> false
      {:ok, %{} = lock} -> age_s == nil or age_s * 1_000 - @step_ms <= lifetime_ms(lock)
      _ -> true
    end
  end

  defp lifetime_ms(%{"own_time_ms" => ms}) when is_integer(ms) and ms > 0, do: ms

  # The times are by the clock of whoever holds it: only their difference counts.
  defp lifetime_ms(%{"locked_at" => from, "expires_at" => to}) when is_binary(from) and is_binary(to) do
    with {:ok, from, _} <- DateTime.from_iso8601(from),
         {:ok, to, _} <- DateTime.from_iso8601(to),
         ms when ms > 0 <- DateTime.diff(to, from, :millisecond),
         do: ms,
         else: (_ -> @default_ms)
  end

  defp lifetime_ms(_lock), do: @default_ms
end
