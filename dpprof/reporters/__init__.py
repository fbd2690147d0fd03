"""PLACEHOLDER reporters"""
