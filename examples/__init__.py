"""Two monitored systems to learn from: a simulated recommender and a delay model on real flights."""
